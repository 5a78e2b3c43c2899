"""Readers of each format: text, headings, pages, rows and titles."""

import pytest

from embedstack.documents import ReadLimits, Section
from embedstack.documents.readers.reading import read_bytes
from embedstack.errors import DocumentRefused
from tests.support.document_files import WORD, make_docx, make_pdf, paragraph, style, styles


def sections(content: bytes | str, source: str) -> list[Section]:
    return list(read_bytes(content.encode() if isinstance(content, str) else content, source).sections)


def texts(content: bytes | str, source: str) -> list[str]:
    return [section.text for section in sections(content, source)]


class TestPlainText:
    def test_line_ends_are_normalized(self):
        assert sections("One.\r\n\r\nTwo.\rThree.", "notes.txt") == [Section("One.\n\nTwo.\nThree.")]

    def test_very_long_text_is_split_at_paragraphs_without_loss(self):
        text = "\n\n".join(f"Paragraph {number} of many. " * 40 for number in range(2500))
        parts = texts(text, "long.txt")
        assert len(parts) > 1
        assert "".join(parts) == text
        assert all(len(part) <= 1_000_000 for part in parts)
        assert all(part.endswith("\n\n") for part in parts[:-1])

    def test_very_long_word_is_split(self):
        parts = texts("x" * 2_500_000, "one-word.txt")
        assert [len(part) for part in parts] == [1_000_000, 1_000_000, 500_000]

    def test_control_characters_are_removed(self):
        assert texts("bell\x07 and escape\x1b in a text that goes on" + " and on" * 100, "log.txt")[0].startswith(
            "bell and escape in"
        )


class TestMarkdown:
    def test_headings_open_nested_sections(self):
        parsed = sections("before\n\n# A\n\none\n\n## B\n\ntwo\n\n## C\n\nthree\n\n# D\n\nfour\n", "a.md")
        assert [(section.headings, section.text) for section in parsed] == [
            ((), "before"),
            (("A",), "# A\n\none"),
            (("A", "B"), "## B\n\ntwo"),
            (("A", "C"), "## C\n\nthree"),
            (("D",), "# D\n\nfour"),
        ]

    def test_heading_without_text_joins_the_deeper_section(self):
        assert sections("# A\n## B\ntext\n# C\n# D\n", "a.md") == [
            Section("# A\n\n## B\n\ntext", ("A", "B")),
            Section("# C", ("C",)),
            Section("# D", ("D",)),
        ]

    def test_code_is_kept_and_opens_no_sections(self):
        parsed = sections("# A\n\n```python\n# not a heading\n    x = 1\n```\n\n    # nor this\n", "a.md")
        assert [section.headings for section in parsed] == [("A",)]
        assert "```python\n# not a heading\n    x = 1\n```" in parsed[0].text
        assert "    # nor this" in parsed[0].text

    def test_heading_has_no_markup_but_text_keeps_it(self):
        parsed = sections("Some *big* [title](http://example.com)\n===\n\nSee **this**.\n", "a.md")
        assert parsed[0].headings == ("Some big title",)
        assert parsed[0].text.endswith("See **this**.")

    def test_headings_in_quotes_and_lists_open_no_sections(self):
        assert [section.headings for section in sections("# A\n\n> # quoted\n\n- # listed\n", "a.md")] == [("A",)]

    @pytest.mark.parametrize(
        "front",
        [
            '---\ntitle: "My notes"\ntags: [a]\n---\n',
            "---\ndraft: true\ntitle: My notes\n...\n",
            "+++\ntitle = 'My notes'\n+++\n",
        ],
    )
    def test_front_matter_gives_only_the_title(self, front):
        document = read_bytes(f"{front}# A\n\ntext\n".encode(), "a.md")
        assert document.title == "My notes"
        assert [section.text for section in document.sections] == ["# A\n\ntext"]

    def test_long_front_matter_is_read(self):
        fields = "".join(f"field{number}: value of it\n" for number in range(2_500))
        document = read_bytes(f"---\n{fields}title:  A 'title'  \n---\ntext\n".encode(), "a.md")
        assert document.title == "A 'title"
        assert [section.text for section in document.sections] == ["text"]

    @pytest.mark.parametrize("front", ["---\na: b\n", "---\n---\n", "---\n- a\n---\n", "++\na: b\n++\n"])
    def test_invalid_front_matter_is_text(self, front):
        assert "".join(texts(f"{front}words\n", "a.md")).split() == [*front.split(), "words"]

    def test_headings_with_references_tags_and_several_lines(self):
        parsed = sections("   # A [b][c] ![d](e) `f` <i>g</i>\n\nx\n\ny\nz\n===\n\n[c]: /url\n", "a.md")
        assert [section.headings for section in parsed] == [("A [b][c] d f <i>g</i>",), ("y z",)]
        assert [section.text for section in parsed] == [
            "   # A [b][c] ![d](e) `f` <i>g</i>\n\nx",
            "y\nz\n===\n\n[c]: /url",
        ]

    def test_thematic_break_at_the_start_is_text(self):
        assert texts("---\n\ntext: this\n\n---\n\nmore\n", "a.md") == ["---\n\ntext: this\n\n---\n\nmore"]

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ("a ![x](data:image/png;base64,{data}) b", "a ![x](data:image/png) b"),
            ("![x][1]\n\n[1]: <data:image/png;base64,{data}>\n\nb", "![x][1]\n\n[1]: <data:image/png>\n\nb"),
            ('<img src="data:image/svg+xml;utf8,{data}"> b', '<img src="data:image/svg+xml;utf8"> b'),
            ("<img src='data:image/png;base64,{data}\n{data}'> b", "<img src='data:image/png'> b"),
            ("data:text/plain,short and data: {data}", "data:text/plain,short and data: {data}"),
        ],
    )
    def test_data_uris_are_omitted(self, content, expected):
        data = "iVBORw0KGgoAAAANSUhEUgAAAAUA" * 4
        assert texts(content.format(data=data), "a.md") == [expected.format(data=data)]

    def test_deep_nesting_loses_no_text(self):
        text = f"{'> ' * 500}deep\n\n# A\n\nend"
        assert [section.headings for section in sections(text, "a.md")] == [(), ("A",)]
        assert texts(text, "a.md")[0].endswith("deep")


class TestWebPage:
    def test_headings_blocks_and_rows(self):
        page = (
            "<!doctype html><html><head><title>The  title</title></head><body><h1>One</h1><p>A <b>bold</b>\n word.</p>"
            "<ul><li>first<li>second</ul><h2>Two</h2><table><tr><th>a<th>b</tr><tr><td>1</td><td>2</td></tr></table>"
            "<div>line<br>break</div><pre>  kept\n    as it is</pre></body></html>"
        )
        document = read_bytes(page.encode(), "a.html")
        assert document.title == "The title"
        assert list(document.sections) == [
            Section("One\n\nA bold word.\n\n- first\n- second", ("One",)),
            Section("Two\n\na | b\n1 | 2\n\nline\nbreak\n\n  kept\n    as it is", ("One", "Two")),
        ]

    def test_scripts_navigation_and_comments_are_omitted(self):
        page = (
            "<nav>Home <nav>inner</nav> About</nav><script>var x = '<p>no</p>';</script><style>p { }</style>"
            "<p>Yes &amp; so<svg><text>no</text></svg><!-- no --><template><p>no</p></template></p>"
        )
        assert texts(page, "a.html") == ["Yes & so"]

    @pytest.mark.parametrize("tag", ["nav", "svg", "noscript", "template"])
    def test_unclosed_hidden_element_hides_nothing(self, tag):
        assert "The text." in texts(f"<header><{tag}>Home</header><main><p>The text.</p></main>", "a.html")[0]

    def test_heading_may_contain_divs(self):
        assert sections("<h2><a><div>Title</div></a></h2><div>text</div>", "a.html") == [
            Section("Title\n\ntext", ("Title",))
        ]

    def test_declared_charset_is_used_if_not_utf_8(self):
        page = '<meta charset="koi8-r"><p>Привет, мир</p>'.encode("koi8-r")
        document = read_bytes(page, "a.html")
        assert document.encoding == "koi8-r"
        assert document.sections[0].text == "Привет, мир"

    @pytest.mark.parametrize("declared", ["zlib", "base64", "idna", "unicode_escape", "utf-7", "no-such", "undefined"])
    def test_unsupported_declared_charset_is_ignored(self, declared):
        page = f'<meta charset="{declared}"><p>Größe und Übermaß</p>'.encode("cp1252")
        assert texts(page, "a.html") == ["Größe und Übermaß"]

    def test_xhtml_cdata_is_text(self):
        page = '<?xml version="1.0"?><html><body><p><![CDATA[a < b]]></p><![if IE]><p>c</p><![endif]></body></html>'
        assert texts(page, "a.xhtml") == ["a < b\n\nc"]

    @pytest.mark.parametrize(
        ("page", "expected"),
        [
            # CDATA sections
            ("<p>a <![CDATA[b < c > d]]> e</p>", "a b < c > d e"),
            ("<p><![CDATA[a]]><![CDATA[b]]><b><![CDATA[<i>]]></b></p>", "ab<i>"),
            ("<p><![CDATA[a]]]]></p>b", "a]]\n\nb"),
            ("<p><![CDATA[&lt;]]></p>", "&lt;"),
            ("<p><![CDATA[a <b>c</b>", "a c"),
            ("<p><![CDATA[a", "a"),
            ("<p><![CDATA[<script>]]>a</p>", "<script>a"),
            ("<script>//<![CDATA[\na > b //]]></script>text", "text"),
            ("<!-- <![CDATA[ a --> b <![CDATA[c]]>", "b c"),
            ("<!--[CDATA[ a -->b", "b"),
            ('<p title="<![CDATA[">a</p>', "a"),
            ("<svg><![CDATA[a]]></svg>b", "b"),
            # elements that close themselves, as in XHTML
            ('<script src="a"/><p>a</p>', "a"),
            ("<title/><p>a</p>", "a"),
            ("<textarea/><p>a</p>", "a"),
            ("<iframe/><style/><nav/><p>a</p>", "a"),
            # scripts, styles and their odd ends
            ("<script>a</script/>b", "b"),
            ("<script>a</script x='>'>b", "b"),
            ("<SCRIPT>a</sCript\n>b", "b"),
            ("<script>if (a </b) '<p>'</script>c", "c"),
            ("<script><!-- a </script> b", "b"),
            ("<style>a { content: '</p>' }</style>b", "b"),
            ("a<script>b", "a"),
            # comments, processing instructions and declarations
            ("<!-->a<!--->b<!--c--!>d<!--e-- >f-->g", "abdg"),
            ("<!--[if IE]>a<![endif]-->b<!--[if !IE]><!-->c<!--<![endif]-->", "bc"),
            ("<?php a ?>b<!ELEMENT c>d</ e>f</>g", "bdfg"),
            # elements whose tags are text, and those whose end is missing
            ("<textarea><b>a</b></textarea>", "<b>a</b>"),
            ("<xmp><b>a\n  b</b></xmp>", "<b>a\n  b</b>"),
            ("<plaintext>a\n <b>", "a\n <b>"),
            ("<title>a<p>b</p>", "a\n\nb"),
            ("<textarea>a<p>b</p>", "a\n\nb"),
            ("<noscript>a</noscript>b<noscript>c <i>d</i>", "abc d"),
            ("<frameset><frame><noframes><p>a</p></noframes>", "a"),
            ("<template>a</template><template shadowrootmode=open>b</template>", "b"),
            # tags that never end
            ('<a href="x>a</a><p>b', "a\n\nb"),
            ("a <b unfinished", "a <b unfinished"),
            ("a < b, a <3, 1<2", "a < b, a <3, 1<2"),
            # entities, tables, hidden and nested elements
            ("&copy &notit; &amp;lt; &#8364; &bogus; AT&T", "© ¬it; &lt; € &bogus; AT&T"),
            ("<table><tr><td>a<td>b<tr><td>c</table>", "a | b\nc"),
            ("&#0000000000065; &#x41; &#99999999999; &#128;", "A A \ufffd €"),
            (f"&#{'1' * 5000};a &#{'0' * 5000}65;", "\ufffda A"),
            ("a</\u00e9>b</ >c", "abc"),
            ("<a href=x/>b</a> <script src=a/>c</script>d", "b d"),
            ("<script><!-- '<script>a</script>' --> b</script>c", "c"),
            ("<script><!-- <script> </script> a", "a"),
            ("<p hidden>a</p><b><p>b</b>c</p>", "a\n\nbc"),
            ("<svg><title>a</title></svg><math><mi>b</mi></math>", "b"),
        ],
    )
    def test_text_of_odd_markup(self, page, expected):
        document = read_bytes(page.encode(), "a.xhtml")
        texts = [section.text for section in document.sections]
        title = document.title if document.title and document.title not in texts else None
        assert "\n\n".join(filter(None, [title, *texts])) == expected

    @pytest.mark.parametrize(
        ("page", "expected"),
        [
            ("<ol><li>a<li>b<ol><li>c</ol><li>d</ol>", "1. a\n2. b\n1. c\n3. d"),
            ("<ol start=4><li><p>a</p><p>more</p><li value='9'>b<li>c</ol>", "4. a\n\nmore\n\n9. b\n10. c"),
            ("<ul><li><p>a</p></li><li>b</ul>", "- a\n- b"),
            ("<ol><li><h2>Title</h2>text</ol>", "1. Title\n\ntext"),
            ("a <img src=x alt='The &amp; logo'> b<img alt=\"\">", "a The & logo b"),
            (
                "<table><tr><th>a<br>b</th><th>c<tr><td><p>1</p><p>2</p></td><td></td><td><p>3</p></table>d",
                "a b | c\n1 2 | 3\n\nd",
            ),
            ("<table><tr><td>a<table><tr><td>x<td>y</table>b<td>c</table>", "a\nx | y\n\nb | c"),
            ("<table><tr><td><h2>a</h2><p>b</p><td><ul><li>c</ul></table>", "a\n\nb\n\n- c"),
            ("<p>infor&shy;mation and well&#8209;known", "information and well\u2011known"),
            ("<p><svg><text>no</text></svg>a<noscript>b</noscript><p>c", "a\n\nc"),
        ],
    )
    def test_lists_pictures_and_soft_hyphens(self, page, expected):
        assert "\n\n".join(texts(page, "a.html")) == expected

    def test_title_with_tags_or_cdata(self):
        assert read_bytes(b"<title>A &amp; <b></title><p>x", "a.html").title == "A & <b>"
        assert read_bytes(b"<title><![CDATA[A & B]]></title><p>x", "a.xhtml").title == "A & B"

    def test_unclosed_comment_is_noted(self):
        document = read_bytes(b"<p>a</p><!-- b <p>c</p>", "a.html")
        assert [section.text for section in document.sections] == ["a"]
        assert document.notes == ("An unclosed comment hides the end of the page.",)

    def test_page_with_only_a_title_has_the_title_as_text(self):
        assert texts("<title>Moved</title>", "a.html") == ["Moved"]


class TestPdf:
    def test_pages_with_text_are_sections(self):
        document = read_bytes(make_pdf("First page.", "", "Third: Größe.", title="The title"), "a.pdf")
        assert document.title == "The title"
        assert list(document.sections) == [Section("First page.", page=1), Section("Third: Größe.", page=3)]
        assert document.notes == (
            "1 of 3 pages have no text. EMBEDSTACK_OCR=true reads scanned pages by OCR, except in a function.",
        )

    def test_scan_is_refused_with_advice(self):
        with pytest.raises(DocumentRefused, match=r"any of 2 pages\..*OCR") as refused:
            read_bytes(make_pdf("", ""), "scan.pdf")
        assert refused.value.reason == "empty"

    def test_page_of_placeholders_has_no_text(self):
        document = read_bytes(
            make_pdf("(cid:12)(cid:9)(cid:44)".replace("(", "\\(").replace(")", "\\)"), "text"), "a.pdf"
        )
        assert [section.page for section in document.sections] == [2]

    def test_words_hyphenated_at_line_ends_are_joined(self):
        lines = ["This line of a paragraph ends with an inter-", "national word, and this one with an S-", "Plus sign."]
        drawn = b" ".join(b"(%s) Tj T*" % line.encode() for line in lines)
        content = make_pdf("", extra=b"BT /F1 12 Tf 14 TL 72 720 Td %s ET" % drawn)
        assert texts(content, "a.pdf") == [
            "This line of a paragraph ends with an international word, and this one with an S-Plus sign."
        ]

    def test_page_limit(self):
        with pytest.raises(DocumentRefused, match="more than 2 pages") as refused:
            read_bytes(make_pdf("a", "b", "c"), "a.pdf", ReadLimits(max_pages=2))
        assert refused.value.reason == "too_large"


class TestWord:
    STYLES = styles(
        style("berschrift1", "heading 1"),
        style("Kapitel", "Kapitel", '<w:basedOn w:val="berschrift1"/>'),
        style("Abschnitt", "Abschnitt", '<w:pPr><w:outlineLvl w:val="1"/></w:pPr>'),
        style("Titel", "Title"),
        style("Standard", "Normal"),
    )

    def test_headings_by_name_inheritance_and_level(self):
        body = "".join([
            paragraph("Das Buch", "Titel"), paragraph("Eins", "berschrift1"), paragraph("a", "Standard"),
            paragraph("Eins A", "Abschnitt"), paragraph("b"), paragraph("Zwei", "Kapitel"), paragraph("c"),
            paragraph("Eigen", properties='<w:outlineLvl w:val="2"/>'), paragraph("d"),
        ])  # fmt: skip
        assert sections(make_docx(body, styles=self.STYLES), "a.docx") == [
            Section("Das Buch\n\nEins\n\na", ("Das Buch", "Eins")),
            Section("Eins A\n\nb", ("Das Buch", "Eins", "Eins A")),
            Section("Zwei\n\nc", ("Das Buch", "Zwei")),
            Section("Eigen\n\nd", ("Das Buch", "Zwei", "Eigen")),
        ]

    def test_cyclic_styles_are_not_headings(self):
        looped = styles(style("a", "a", '<w:basedOn w:val="b"/>'), style("b", "b", '<w:basedOn w:val="a"/>'))
        assert sections(make_docx(paragraph("text", "a"), styles=looped), "a.docx") == [Section("text")]

    def test_table_rows_and_nested_table_rows_are_lines(self):
        def row(*cells: str) -> str:
            return "<w:tr>" + "".join(f"<w:tc>{cell}</w:tc>" for cell in cells) + "</w:tr>"

        inner = f"<w:tbl>{row(paragraph('x'), paragraph('y'))}</w:tbl>"
        body = f"<w:tbl>{row(paragraph('a'), paragraph('b') + paragraph('c'))}{row(inner, paragraph('d'))}</w:tbl>"
        assert texts(make_docx(body), "a.docx") == ["a | b c\nx | y | d"]

    def test_empty_cells_and_incomplete_rows(self):
        cell = "<w:tc>%s</w:tc>"
        rows = [cell % "" + cell % paragraph("a") + cell % "", cell % "" * 3, paragraph("b")]
        body = "".join(f"<w:tr>{row}</w:tr>" for row in rows) + cell % paragraph("c") + paragraph("d")
        assert texts(make_docx(body), "a.docx") == [" | a |\nb\n\nc\n\nd"]

    def test_deleted_text_field_codes_and_fallbacks_are_omitted(self):
        body = (
            "<w:p><w:r><w:t>kept</w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del>"
            "<w:r><w:instrText> PAGE </w:instrText><w:tab/><w:t>and</w:t><w:br/><w:t>this</w:t></w:r>"
            '<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
            "<mc:Choice><w:p><w:r><w:t>box</w:t></w:r></w:p></mc:Choice>"
            "<mc:Fallback><w:p><w:r><w:t>box again</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent></w:p>"
        )
        assert texts(make_docx(body), "a.docx") == ["box\n\nkept\tand\nthis"]

    def test_footnotes_title_and_renamed_main_part(self):
        footnotes = f'<w:footnotes xmlns:w="{WORD}"><w:footnote>{paragraph("the note")}</w:footnote></w:footnotes>'
        core = '<c xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>The title</dc:title><dc:x>no</dc:x></c>'
        content = make_docx(paragraph("text"), part="word/document2.xml", footnotes=footnotes, core=core)
        document = read_bytes(content, "a.docx")
        assert document.title == "The title"
        assert [section.text for section in document.sections] == ["text", "the note"]


class TestJsonLines:
    def test_rows_by_text_field_title_and_strings(self):
        content = (
            '{"id": 7, "title": "A", "text": "one"}\n\n{"body": "two", "lang": "en"}\r\n"three"\n'
            '{"question": "why?", "answers": [{"said": "because"}, "so"], "score": 3}\n{"score": 1}\n'
        )
        document = read_bytes(content.encode(), "a.jsonl")
        assert list(document.sections) == [
            Section("A\n\none", ("A",), row=1),
            Section("two", row=3),
            Section("three", row=4),
            Section("question: why?\nsaid: because\nanswers: so", row=5),
        ]
        assert document.notes == ("1 of 5 rows have no text.",)

    def test_line_separator_in_a_string_does_not_end_the_row(self):
        assert texts('{"text": "a\u2028b\x85c"}', "a.jsonl") == ["a\nb\nc"]

    @pytest.mark.parametrize(
        ("content", "rows"),
        [
            ('[\n{"text": "a"},\n{"text": "b"}\n]\n', [1, 2]),
            ('[{"text": "a"}, {"text": "b"}]', [1, 2]),
            ('{"text": "a"},\n{"text": "b"},\n', [1, 2]),
            ('{\n  "text": "a"\n}\n{\n  "text": "b"\n}\n', [1, 4]),
            ('\x1e{"text": "a"}\n\x1e{"text": "b"}\n', [2, 4]),
            ('\ufeff{"text": "a"}\r\n{"text": "b"}', [1, 2]),
        ],
    )
    def test_variants_of_json_lines(self, content, rows):
        assert sections(content, "a.jsonl") == [Section("a", row=rows[0]), Section("b", row=rows[1])]

    def test_data_uris_are_omitted(self):
        document = read_bytes(b'{"text": "see ![x](data:image/png;base64,%s)"}' % (b"iVBORw0KGgo" * 9), "a.jsonl")
        assert document.sections[0].text == "see ![x](data:image/png)"
        assert document.notes == ("Contents of data URIs that were omitted: 1.",)

    @pytest.mark.parametrize("row", ["{", "not json", '{"text": "unclosed', "[1, 2", '{"a": 1}{"b": 2}', "1" * 5000])
    def test_invalid_row_is_named(self, row):
        with pytest.raises(DocumentRefused, match="row 2") as refused:
            read_bytes(f'{{"text": "fine"}}\n{row}\n'.encode(), "a.jsonl")
        assert refused.value.reason == "corrupt"

    def test_surrogates_and_nul_are_replaced(self):
        assert texts(r'{"text": "a\ud800b\u0000c\ud83d\ude00"}', "a.jsonl") == ["a\ufffdbc😀"]


class TestDelimited:
    def test_rows_become_column_value_lines(self):
        assert sections('name,age,note\nAnn,30,\n\nBob,,"says ""hi"",\nthen goes"\n', "a.csv") == [
            Section("name: Ann\nage: 30", row=2),
            Section('name: Bob\nnote: says "hi",\nthen goes', row=4),
        ]

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_delimiter_is_detected(self, delimiter):
        rows = [["city", "text"], ["Rome", "old, and big; very"], ["Oslo", "cold, too"]]
        content = "\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
        assert texts(content, "a.csv") == ["city: Rome\ntext: old, and big; very", "city: Oslo\ntext: cold, too"]

    def test_delimiter_line_of_excel_is_read(self):
        assert texts("sep=;\na,b;c\n1,5;x\n", "a.csv") == ["a,b: 1,5\nc: x"]

    def test_first_record_with_a_number_is_not_a_header(self):
        assert texts("Ann,30\nBob,40,more\n", "a.csv") == [
            "column 1: Ann\ncolumn 2: 30",
            "column 1: Bob\ncolumn 2: 40\ncolumn 3: more",
        ]

    def test_unnamed_column_has_its_number(self):
        assert texts("name,\nAnn,x\n", "a.csv") == ["name: Ann\ncolumn 2: x"]

    def test_single_column(self):
        assert texts("sentence\nHello there.\nGood day.\n", "a.csv") == [
            "sentence: Hello there.",
            "sentence: Good day.",
        ]

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ('a,b\n1,2\n"never closed\nx,y\n', ["a: 1\nb: 2", 'a: "never closed', "a: x\nb: y"]),
            # quotes within quoted cells, after which rows with quoted line ends are still read
            (
                'a,b\n"x, y",z\n"a "quoted" word",w\n"m\nn",o\n',
                ["a: x, y\nb: z", 'a: a "quoted" word\nb: w', "a: m\nn\nb: o"],
            ),
            ('id,text\n1,"say \\"hi\\", ok"\n2,plain\n', ['id: 1\ntext: say "hi", ok', "id: 2\ntext: plain"]),
            ('id,path\n1,"C:\\dir\\"\n2,b\n', ["id: 1\npath: C:\\dir\\", "id: 2\npath: b"]),
            ("'a','b, c'\n'x','y, z'\n", ["a: x\nb, c: y, z"]),
            ("it's,b\nx,that's\n", ["it's: x\nb: that's"]),
            ('a, b\nx, "y, z"\n', ["a: x\nb: y, z"]),
            # tabs
            ('a\tb\n1\tHe said "hi\n2\t"Yes" he said\n', ['a: 1\nb: He said "hi', 'a: 2\nb: "Yes" he said']),
            ('a\tb\n1\t"Hello\n2\tmiddle\n3\tbye"\n', ['a: 1\nb: "Hello', "a: 2\nb: middle", 'a: 3\nb: bye"']),
            ('id\ttext\n1\t"two\nlines"\n2\tx\n', ["id: 1\ntext: two\nlines", "id: 2\ntext: x"]),
            # delimiters
            ("Ann;1,5;2,5\nBob;3,5;4,5\n", [f"column 1: {name}\ncolumn 2: {a}\ncolumn 3: {b}" for name, a, b in
                                            [("Ann", "1,5", "2,5"), ("Bob", "3,5", "4,5")]]),
            ("id,tags,x\n1,a|b,y\n2,c|d,z\n", ["id: 1\ntags: a|b\nx: y", "id: 2\ntags: c|d\nx: z"]),
            ("a,b\r1,2\r3,4\r", ["a: 1\nb: 2", "a: 3\nb: 4"]),
            (f"\ufeffa,b\n1,x\0y{'z' * 400}\n", [f"a: 1\nb: xy{'z' * 400}"]),
        ],
    )  # fmt: skip
    def test_dialects(self, content, expected):
        assert texts(content, "a.csv") == expected

    def test_rows_with_mismatched_quotes_are_noted(self):
        document = read_bytes(b'a,b\n"x","y"\n"a "b" c",d\n', "a.csv")
        assert document.notes == ("1 row has quotes that do not match, and was read as written.",)

    @pytest.mark.parametrize("cell", ["x" * 140_000, f'"{"x" * 140_000}"'])
    def test_long_cell_is_read(self, cell):
        assert texts(f"a,b\n{cell},y\n", "a.csv") == [f"a: {'x' * 140_000}\nb: y"]

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ("Country,2019,2020\nGermany,83,84\n", "Country: Germany\n2019: 83\n2020: 84"),
            (",2019,2020\nGermany,83,84\n", "column 1: Germany\n2019: 83\n2020: 84"),
            ("State,1/22/20,1/23/20\nOhio,5,6\n", "State: Ohio\n1/22/20: 5\n1/23/20: 6"),
            ("2019,2020\n5,6\n", "2019: 5\n2020: 6"),
            # no headers
            ("Ann,1990\nBob,1985\n", "column 1: Ann\ncolumn 2: 1990"),
            ("yes,no\nno,yes\nyes,yes\n", "column 1: yes\ncolumn 2: no"),
            ("ann@example.com,Rome\nbob@example.com,Oslo\n", "column 1: ann@example.com\ncolumn 2: Rome"),
            ("A sentence. " * 10 + ",x\nAnother,y\n", f"column 1: {('A sentence. ' * 10).strip()}\ncolumn 2: x"),
            ("a,b\n", "column 1: a\ncolumn 2: b"),
        ],
    )
    def test_header_is_detected(self, content, expected):
        assert texts(content, "a.csv")[0] == expected

    def test_line_above_a_table_is_a_section(self):
        assert sections("Report of 2020\n\nname,age,city\nAnn,3,Rome\n", "a.csv") == [
            Section("Report of 2020", row=1), Section("name: Ann\nage: 3\ncity: Rome", row=4),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "source"),
    [
        ("word " * 30, "a.txt"),
        ("# A\n\n" + "word " * 30, "a.md"),
        ("<p>" + "word " * 30, "a.html"),
        (make_pdf("word " * 15, "word " * 15), "a.pdf"),
        (make_docx(paragraph("word " * 15) * 2), "a.docx"),
        ('{"text": "%s"}\n' % ("word " * 15) * 2, "a.jsonl"),
        ("a,b\n" + "word,word\n" * 20, "a.csv"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 10 else "",
)
def test_every_format_counts_characters(content, source):
    content = content.encode() if isinstance(content, str) else content
    read_bytes(content, source, ReadLimits(max_text_characters=400))
    with pytest.raises(DocumentRefused, match="more than 100 characters of text") as refused:
        read_bytes(content, source, ReadLimits(max_text_characters=100))
    assert refused.value.reason == "too_large"


@pytest.mark.parametrize(("content", "source"), [("a\nb\nc\n", "a.csv"), ('"a"\n"b"\n"c"\n', "a.jsonl")])
def test_row_limit(content, source):
    with pytest.raises(DocumentRefused, match="more than 2 rows") as refused:
        read_bytes(content.encode(), source, ReadLimits(max_rows=2))
    assert refused.value.reason == "too_large"
