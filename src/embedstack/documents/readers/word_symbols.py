"""Characters of Word's symbol fonts, which have codes of their own."""

__all__ = ["symbol"]

# Codes are those of the font, or 0xF000 higher.
_PRIVATE = 0xF000
# The Greek letters of Symbol, by the Latin letter of their code.
_GREEK = dict(
    zip(
        "ABGDEZHQIKLMNXOPRSTUFCYWabgdezhqiklmnxoprstufcyw",
        "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθικλμνξοπρστυφχψω",
        strict=True,
    )
)
_SYMBOL = {
    0xA3: "≤", 0xA5: "∞", 0xAB: "↔", 0xAC: "←", 0xAE: "→", 0xB0: "°", 0xB1: "±", 0xB3: "≥", 0xB4: "\u00d7", 0xB6: "∂",
    0xB7: "•", 0xB9: "≠", 0xBB: "≈", 0xC5: "⊕", 0xC7: "∩", 0xC8: "\u222a", 0xCE: "∈", 0xD6: "√", 0xDE: "⇒", 0xE5: "∑",
    0xF2: "∫",
}  # fmt: skip
_WINGDINGS = {
    0x6F: "☐", 0x71: "☐", 0x78: "☒", 0xA7: "•", 0xA8: "☐", 0xD8: "•", 0xDF: "←", 0xE0: "→", 0xFB: "✗", 0xFC: "✓",
    0xFD: "☒", 0xFE: "☑",
}  # fmt: skip


def symbol(font: str, code: str) -> str:
    """The character of a symbol in a font; empty if it is unknown.

    Args:
        font: The font's name.
        code: The hexadecimal code.
    """
    try:
        number = int(code[:8], 16)
    except ValueError:
        return ""
    number -= _PRIVATE if _PRIVATE <= number < _PRIVATE + 0x100 else 0
    name = font.lower()
    if name == "symbol":
        return _SYMBOL.get(number) or _GREEK.get(chr(number) if 0 <= number < 0x80 else "", "")
    if name.startswith("wingdings"):
        return _WINGDINGS.get(number, "")
    return chr(number) if 0x20 <= number < 0xD800 else ""
