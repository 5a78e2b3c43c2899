"""Readers of spreadsheets, presentations, OpenDocument files and e-books."""

from typing import Any

import pytest

from embedstack.documents import Document, ReadLimits, Section
from embedstack.documents.readers.reading import read_bytes
from embedstack.errors import DocumentRefused
from tests.support.document_files import make_zip
from tests.support.office_files import make_epub, make_open_document, make_pptx, make_xlsx, relations, row, shape


def texts(document: Document) -> list[str]:
    return [section.text for section in document.sections]


def refusal(content: bytes, source: str, **limits: Any) -> DocumentRefused:
    with pytest.raises(DocumentRefused) as refused:
        read_bytes(content, source, ReadLimits(**limits))
    return refused.value


class TestSpreadsheet:
    def test_rows_repeat_the_header_of_their_sheet(self):
        content = make_xlsx(
            row(1, "Report of 2026") + row(3, "Name", "Place", "Size") + row(4, "Tom", "sofa", 3) + row(6, "Rex"),
            row(1, "only", "words"),
            names=("Pets", "More"),
        )
        assert list(read_bytes(content, "a.xlsx").sections) == [
            Section("Pets\n\nReport of 2026", ("Pets",), row=1),
            Section("Name: Tom\nPlace: sofa\nSize: 3", ("Pets",), row=4),
            Section("Name: Rex", ("Pets",), row=6),
            Section("More\n\nonly | words", ("More",), row=1),
        ]

    def test_names_of_empty_columns_are_kept(self):
        content = make_xlsx(row(1, "Name", "Place", "Price") + row(2, "Tom", "sofa"))
        assert texts(read_bytes(content, "a.xlsx")) == ["Sheet1\n\nName | Place | Price", "Name: Tom\nPlace: sofa"]

    @pytest.mark.parametrize(
        ("header", "is_header"),
        [
            (("Region", "2024", "2025"), True),
            (("Region", 2024, 2025), True),
            (("Region", "2026-01-01", "2026-02-01"), True),
            (("Region", 12, 13), False),
        ],
    )
    def test_years_and_dates_are_a_header(self, header, is_header):
        content = make_xlsx(row(1, *header) + row(2, "North", 17, 18))
        expected = f"Region: North\n{header[1]}: 17\n{header[2]}: 18"
        assert (texts(read_bytes(content, "a.xlsx"))[-1].endswith(expected)) is is_header

    @pytest.mark.parametrize(
        ("attributes", "cell", "expected"),
        [
            ("", "<v>0.30000000000000004</v>", "0.3"),
            ("", "<v>1E3</v>", "1000"),
            ('s="1"', "<v>45000</v>", "2023-03-15"),
            ('s="1"', "<v>45000.75</v>", "2023-03-15T18:00:00"),
            ('s="1"', "<v>1</v>", "1900-01-01"),
            ('s="2"', "<v>0.5</v>", "12:00:00"),
            ('s="3"', "<v>1.5</v>", "36:00:00"),
            ('s="4"', "<v>0.07</v>", "7%"),
            ('s="5"', "<v>12.5</v>", "12.5"),
            ('s="6"', "<v>45000</v>", "45000"),
            ('s="99999999999"', "<v>45000</v>", "45000"),
            ('t="b"', "<v>1</v>", "TRUE"),
            ('t="e"', "<v>#DIV/0!</v>", "#DIV/0!"),
            ('t="str"', "<f>A1&amp;A2</f><v>stored</v>", "stored"),
            ("", "<f>SUM(A1:A9)</f><v>42</v>", "42"),
            ('t="s"', "<v>1</v>", "rich text"),
        ],
    )
    def test_values_are_as_displayed_and_dates_are_iso(self, attributes, cell, expected):
        content = make_xlsx(
            f'<row r="1"><c r="A1" {attributes}>{cell}</c><c t="s"><v>7</v></c></row>',
            strings=("<t>unused</t>", "<r><t>rich </t></r><r><t>text</t></r><rPh><t>hint</t></rPh>"),
            formats=("yyyy\\-mm\\-dd;@", "h:mm", "[h]:mm:ss", "0.00%", "0.0&quot;days&quot;", "[Red]#,##0"),
        )
        assert texts(read_bytes(content, "a.xlsx")) == [f"Sheet1\n\n{expected}"]

    def test_dates_may_count_from_1904(self):
        content = make_xlsx(
            '<row r="1"><c s="1"><v>0</v></c></row>',
            formats=("d.m.yy",),
            workbook='<workbookPr date1904="1"/><x:workbookPr/>',
        )
        assert texts(read_bytes(content, "a.xlsx")) == ["Sheet1\n\n1904-01-01"]

    @pytest.mark.parametrize(
        ("value", "workbook", "expected"),
        [
            ("2958465", "", "9999-12-31"),
            ("2958465.9999999", "", "2958465.9999999"),
            ("2957003", '<workbookPr date1904="1"/>', "9999-12-31"),
            ("2957004", '<workbookPr date1904="1"/>', "2957004"),
        ],
    )
    def test_numbers_after_the_last_date_are_numbers(self, value, workbook, expected):
        cell = f'<row r="1"><c s="1"><v>{value}</v></c></row>'
        content = make_xlsx(cell, formats=("d.m.yy",), workbook=workbook)
        assert texts(read_bytes(content, "a.xlsx")) == [f"Sheet1\n\n{expected}"]

    def test_merged_cells_apply_to_rows_and_header_columns(self):
        cells = (
            '<row r="1"><c r="A1" t="str"><v>Region</v></c><c r="B1" t="str"><v>Sales</v></c></row>'
            '<row r="2"><c r="A2" t="str"><v>North</v></c><c r="B2"><v>1</v></c></row>'
            '<row r="3"><c r="B3"><v>2</v></c></row>'
            '<!--end--><mergeCells><mergeCell ref="A2:A3"/><mergeCell ref="B1:XFD1"/><mergeCell ref="?"/></mergeCells>'
        )
        assert texts(read_bytes(make_xlsx(cells), "a.xlsx"))[1:] == ["Region: North\nSales: 2"]

    def test_hidden_sheets_and_missing_results_are_noted(self):
        content = make_xlsx(row(1, "a"), '<row r="1"><c><f>1+1</f></c><c t="str"><v>b</v></c></row>', hidden=(1,))
        document = read_bytes(content, "a.xlsx")
        assert texts(document) == ["Sheet1\n\na", "Sheet2\n\nb"]
        assert [note.partition(".")[0] for note in document.notes] == [
            "Hidden sheets, which were read: 1 of 2",
            "Formulas without a stored result: 1",
        ]

    def test_text_boxes_are_read(self):
        content = make_xlsx(
            row(1, "a"),
            xl__worksheets___rels__sheet1_dot_xml_dot_rels=relations(("d", "drawing", "../drawings/d.xml")),
            xl__drawings__d_dot_xml='<x xmlns:a="a"><a:p><a:r><a:t>boxed</a:t></a:r></a:p></x>',
        )
        assert texts(read_bytes(content, "a.xlsx")) == ["Sheet1\n\na", "boxed"]

    def test_distant_cells_take_no_memory(self):
        content = make_xlsx('<row r="1048576"><c r="XFD1048576" t="str"><v>far</v></c></row>')
        assert list(read_bytes(content, "a.xlsx").sections) == [Section("Sheet1\n\nfar", ("Sheet1",), row=1_048_576)]

    def test_too_many_rows_are_refused(self):
        content = make_xlsx("".join(row(number, "x") for number in range(1, 12)))
        assert refusal(content, "a.xlsx", max_rows=10).reason == "too_large"


class TestPresentation:
    def test_slides_are_pages_in_their_order_with_titles(self):
        content = make_pptx(
            shape("text one", "text two") + shape("Plan", placeholder="title"),
            f"<p:grpSp>{shape('grouped')}</p:grpSp>{shape('9', placeholder='sldNum')}",
        )
        assert list(read_bytes(content, "a.pptx").sections) == [
            Section("Plan\n\ntext one\ntext two", ("Plan",), page=1),
            Section("grouped", page=2),
        ]

    def test_tables_notes_charts_and_smart_art_are_read(self):
        def cell(text: str) -> str:
            return f"<a:tc><a:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></a:txBody></a:tc>"

        rows = f"<a:tr>{cell('Name')}{cell('Size')}</a:tr><a:tr>{cell('Tom')}{cell('3')}</a:tr>"
        table = f"<p:graphicFrame><a:tbl>{rows}</a:tbl></p:graphicFrame>"
        notes = shape("Say hello.", placeholder="body") + shape("7", placeholder="sldNum")
        point = '<c:pt idx="{}"><c:v>{}</c:v></c:pt>'
        series = (
            "<c:ser><c:tx><c:f>no</c:f><c:strCache><c:pt idx='0'><c:v>{}</c:v></c:pt></c:strCache></c:tx>"
            f"<c:cat><c:strCache>{point.format(0, 'Q1')}{point.format(1, 'Q2')}</c:strCache></c:cat>"
            "<c:val><c:numCache>{}</c:numCache></c:val></c:ser>"
        )
        north = series.format("North", point.format(0, "1.5") + point.format(1, "2"))
        south = series.format("South", point.format(1, "3"))
        content = make_pptx(
            table,
            related={
                0: (("n", "notesSlide", "../n.xml"), ("c", "chart", "../c.xml"), ("d", "diagramData", "../d.xml"))
            },
            n=f'<p:notes xmlns:p="p" xmlns:a="a">{notes}</p:notes>',
            c='<c:chart xmlns:c="c" xmlns:a="a"><c:title><a:p><a:r><a:t>Growth</a:t></a:r></a:p></c:title>'
            f"{north}{south}</c:chart>",
            d='<dgm:x xmlns:dgm="d" xmlns:a="a"><dgm:t><a:p><a:r><a:t>First step</a:t></a:r></a:p></dgm:t></dgm:x>',
        )
        assert texts(read_bytes(content, "a.pptx")) == [
            "Name | Size\nTom | 3\n\nSay hello.\n\nGrowth\n| North | South\nQ1 | 1.5 | \nQ2 | 2 | 3\n\nFirst step"
        ]

    def test_hidden_slides_are_noted_and_fallbacks_omitted(self):
        content = make_pptx(
            f'<p:sld xmlns:p="p" xmlns:a="a" xmlns:mc="m" show="0"><mc:Choice>{shape("new")}</mc:Choice>'
            f"<mc:Fallback>{shape('old')}</mc:Fallback></p:sld>"
        )
        document = read_bytes(content, "a.pptx")
        assert (texts(document), document.notes) == (["new"], ("Hidden slides, which were read: 1 of 1.",))

    def test_too_many_slides_are_refused(self):
        assert refusal(make_pptx(shape("a"), shape("b")), "a.pptx", max_pages=1).reason == "too_large"


class TestOpenDocument:
    def test_headings_lists_tables_and_footnotes(self):
        body = (
            "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>"
            '<text:h text:outline-level="1">One</text:h>'
            "<text:p>A<text:tab/>b<text:s text:c='3'/>c<text:line-break/>d"
            "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>A note.</text:p>"
            "</text:note-body></text:note> end.<office:annotation><text:p>comment</text:p></office:annotation></text:p>"
            '<text:h text:outline-level="2">Two</text:h><table:table><table:table-row><table:table-cell>'
            "<text:p>x</text:p><text:p>y</text:p></table:table-cell><table:table-cell/></table:table-row></table:table>"
        )
        document = read_bytes(make_open_document(body, meta="<m><title>The title</title></m>"), "a.odt")
        assert document.title == "The title"
        assert list(document.sections) == [
            Section("One\n\nA\tb   c\nd end.\n\nA note.", ("One",)),
            Section("Two\n\nx y |", ("One", "Two")),
        ]

    def test_spreadsheet_rows_repeat_the_header(self):
        def cell(text: str, attributes: str = "") -> str:
            return f"<table:table-cell {attributes}><text:p>{text}</text:p></table:table-cell>"

        date = cell("1/2/26", 'office:value-type="date" office:date-value="2026-01-02"')
        rows = (
            f"<table:table-row>{cell('Name')}{cell('Day')}</table:table-row>"
            '<table:table-row table:number-rows-repeated="1048000">'
            '<table:table-cell table:number-columns-repeated="16384"/></table:table-row>'
            f"<table:table-row>{cell('Tom')}{date}"
            "</table:table-row>"
        )
        content = make_open_document(f'<table:table table:name="Pets">{rows}</table:table>', "spreadsheet")
        assert list(read_bytes(content, "a.ods").sections) == [
            Section("Pets\n\nName: Tom\nDay: 2026-01-02", ("Pets",), row=1_048_002)
        ]

    def test_repeated_cells_are_limited(self):
        cell = (
            f'<table:table-cell table:number-columns-repeated="16384"><text:p>{"x" * 1000}</text:p></table:table-cell>'
        )
        row = f'<table:table-row table:number-rows-repeated="1048576">{cell}</table:table-row>'
        content = make_open_document(f"<table:table>{row}</table:table>", "spreadsheet")
        assert refusal(content, "a.ods").reason == "too_large"

    def test_slides_are_pages_with_titles(self):
        page = (
            '<draw:page><draw:frame presentation:class="title"><draw:text-box><text:p>Plan</text:p></draw:text-box>'
            "</draw:frame><draw:frame><draw:text-box><text:p>text</text:p></draw:text-box></draw:frame></draw:page>"
        )
        content = make_open_document(f"<draw:page/>{page}", "presentation")
        assert list(read_bytes(content, "a.odp").sections) == [Section("Plan\n\ntext", ("Plan",), page=2)]

    def test_encrypted_file_is_refused(self):
        content = make_open_document("<x/>", manifest="<m><file-entry><encryption-data/></file-entry></m>")
        assert refusal(content, "a.odt").reason == "encrypted"


class TestEpub:
    def test_pages_are_read_in_the_order_of_the_spine(self):
        content = make_epub({"a": "<p>second</p>", "b": "<h1>First</h1><p>one</p><h2>Deeper</h2>"}, spine=("b", "a"))
        document = read_bytes(content, "a.epub")
        assert document.title == "A book"
        assert [(section.headings, section.text) for section in document.sections] == [
            (("First",), "First\n\none"),
            (("First", "Deeper"), "Deeper\n\nsecond"),
        ]

    @pytest.mark.parametrize(
        "contents",
        [
            {"nav": '<nav><a href="a%20page.xhtml#x">Chapter <b>one</b></a><a href="a%20page.xhtml#y">later</a></nav>'},
            {
                "ncx": '<!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" "http://example.com/ncx.dtd"><ncx><navPoint>'
                '<navLabel><text>Chapter one</text></navLabel><content src="a%20page.xhtml"/></navPoint></ncx>'
            },
        ],
    )
    def test_table_of_contents_gives_missing_headings(self, contents):
        document = read_bytes(make_epub({"a": "<p>text</p>"}, **contents), "a.epub")
        assert list(document.sections) == [Section("Chapter one\n\ntext", ("Chapter one",))]

    def test_encrypted_pages_are_refused_but_not_encrypted_fonts(self):
        reference = '<encryption><CipherReference URI="OEBPS/{}"/></encryption>'
        pages = {"a": "<p>text</p>"}
        assert read_bytes(make_epub(pages, encryption=reference.format("font.otf")), "a.epub")
        assert refusal(make_epub(pages, encryption=reference.format("a%20page.xhtml")), "a.epub").reason == "encrypted"


FILES = {
    "a.xlsx": make_xlsx(row(1, "hello")),
    "a.pptx": make_pptx(shape("hello")),
    "a.odt": make_open_document("<text:p>hello</text:p>"),
    "a.ods": make_open_document(
        "<table:table><table:table-row><table:table-cell><text:p>hello</text:p></table:table-cell></table:table-row>"
        "</table:table>",
        "spreadsheet",
    ),
    "a.epub": make_epub({"a": "<p>hello</p>"}),
}
PARTS = {
    "a.xlsx": ("xl/workbook.xml", "spreadsheetml.sheet"),
    "a.pptx": ("ppt/presentation.xml", "presentationml.presentation"),
    "a.odt": ("content.xml", "application/vnd.oasis.opendocument.text"),
    "a.epub": ("META-INF/container.xml", "application/epub+zip"),
}


def with_main_part(source: str, content: str) -> bytes:
    part, kind = PARTS[source]
    types = f'<Types><Override ContentType="application/vnd.openxmlformats-officedocument.{kind}.main+xml"/></Types>'
    is_office = source in ("a.xlsx", "a.pptx")
    return make_zip(({"[Content_Types].xml": types} if is_office else {"mimetype": kind}) | {part: content})


@pytest.mark.parametrize("source", FILES)
@pytest.mark.parametrize("name", ["", "a.bin", "a.zip"])
def test_packages_are_detected_with_any_suffix(source, name):
    expected = read_bytes(FILES[source], source)
    assert "hello" in expected.sections[-1].text
    assert read_bytes(FILES[source], name or source).media_type == expected.media_type


@pytest.mark.parametrize("source", FILES)
def test_truncated_packages_are_refused(source):
    error = refusal(FILES[source][:-40], source)
    assert (error.reason, "truncated" in str(error)) == ("corrupt", True)


@pytest.mark.parametrize("source", PARTS)
def test_bombs_in_packages_are_refused(source):
    content = with_main_part(source, f"<x>{' ' * 3_000_000}</x>")
    assert refusal(content, source, max_inflated_bytes=2_000_000).reason == "too_large"


@pytest.mark.parametrize("source", PARTS)
def test_entities_in_packages_are_refused(source):
    content = with_main_part(source, '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><x>&b;</x>')
    error = refusal(content, source)
    assert (error.reason, "declares entities" in str(error)) == ("corrupt", True)


@pytest.mark.parametrize("source", PARTS)
def test_default_attributes_in_packages_are_refused(source):
    content = with_main_part(source, '<!DOCTYPE x [<!ATTLIST x a CDATA "long">]><x/>')
    assert refusal(content, source).reason == "corrupt"


@pytest.mark.parametrize("source", PARTS)
def test_deeply_nested_packages_are_read_or_refused(source):
    with pytest.raises(DocumentRefused) as refused:
        read_bytes(with_main_part(source, "<x>" * 50_000 + "</x>" * 50_000), source)
    assert refused.value.reason in ("corrupt", "empty")
