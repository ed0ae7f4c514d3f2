"""Documents of every format, written by the libraries that people write them with."""

import pytest


@pytest.fixture
def write_pdf(tmp_path):
    """Write a PDF with a text a page."""
    import matplotlib
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    def write(name, pages, **facts):
        path = tmp_path / name
        with matplotlib.rc_context({"pdf.fonttype": 42}), PdfPages(path, metadata=facts) as file:
            for text in pages:
                figure = Figure(figsize=(6, 8))
                figure.text(0.1, 0.5, text)
                file.savefig(figure)
        return path

    return write


@pytest.fixture
def write_docx(tmp_path):
    """Write a Word document; a pair is a style and a text, a list a table."""
    from docx import Document

    def write(name, parts, **facts):
        document = Document()
        for part in parts:
            if isinstance(part, list):
                table = document.add_table(rows=0, cols=len(part[0]))
                for row in part:
                    for cell, text in zip(table.add_row().cells, row, strict=True):
                        cell.text = text
            else:
                document.add_paragraph(part[1], style=part[0])
        for key, value in facts.items():
            setattr(document.core_properties, key, value)
        path = tmp_path / name
        document.save(str(path))
        return path

    return write
