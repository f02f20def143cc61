"""Pictures of the report for the README: every page on the demo, on a desktop and on a phone, light and dark. `make run` comes first."""

import io

import duckdb
from browsers import ReportServer, Visitor, a_browser
from PIL import Image
from processes import REPOSITORY

WAREHOUSE = REPOSITORY / "data" / "demo" / "warehouse"
FOLDER = REPOSITORY / "docs" / "screenshots"
DESKTOP, PHONE = (1360, 1300), (390, 1300)
GAP = 24


def main() -> None:
    with duckdb.connect(str(WAREHOUSE / "marts.duckdb"), read_only=True) as connection:
        row = connection.execute(
            "select max(contact_id) from journal where is_multichannel and contact_number = 3 and touch_count between 3 and 6"
        ).fetchone()
    contact = str(row[0]) if row else ""
    pages: dict[str, tuple[str, dict[str, str]]] = {
        "journal": ("", {}),
        "card": ("card", {"contact": contact}),
        "history": ("card", {"contact": contact, "tab": "history"}),
        "channels": ("channels", {}),
        "chains": ("chains", {}),
        "data": ("data", {}),
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    server = ReportServer(WAREHOUSE)
    try:
        with a_browser() as browser:
            for name, (page, parameters) in pages.items():
                shots = []
                for width, height in (DESKTOP, PHONE):
                    for scheme in ("light", "dark"):
                        visitor = Visitor(
                            browser, server, color_scheme=scheme, viewport={"width": width, "height": height}
                        )
                        visitor.open(page, **parameters)
                        if name == "card":
                            visitor.page.locator("details.branch[open]").get_by_text("Дополнительно").first.click()
                        if name == "chains":
                            visitor.page.locator(".sankey").first.wait_for()
                        visitor.page.locator("h1").scroll_into_view_if_needed()
                        visitor.page.wait_for_timeout(1500)  # until charts have been drawn
                        shots.append(Image.open(io.BytesIO(visitor.page.screenshot())))
                        visitor.close()
                _beside_one_another(shots).save(FOLDER / f"{name}.png", optimize=True)
    finally:
        server.stop()


def _beside_one_another(shots: list[Image.Image]) -> Image.Image:
    whole = Image.new(
        "RGB",
        (sum(shot.width for shot in shots) + GAP * (len(shots) - 1), max(shot.height for shot in shots)),
        "#9aa5a1",
    )
    left = 0
    for shot in shots:
        whole.paste(shot, (left, 0))
        left += shot.width + GAP
    return whole.convert("P", palette=Image.Palette.ADAPTIVE, colors=192)


if __name__ == "__main__":
    main()
