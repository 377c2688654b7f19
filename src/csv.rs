//! CSV as RFC 4180 writes it. In tables for people, a cell that a spreadsheet would run as a formula is text.

/// Signs by which a spreadsheet knows a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A cell, quoted where it must be.
#[must_use]
pub fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\r', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

/// A record of a table for people, with its end of line. An apostrophe before a formula makes it text; also before a negative
/// amount, since no program can tell one from a formula.
#[must_use]
pub fn record(cells: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let cells: Vec<String> = cells.into_iter().map(|it| quoted(&defused(it.as_ref()))).collect();
    cells.join(",") + "\r\n"
}

fn defused(cell: &str) -> String {
    if cell.starts_with(FORMULA) { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_a_spreadsheet_would_run_is_text() {
        for cell in ["=1+1", "+1", "-6.05", "@sum", "\tx", "\rx"] {
            assert_eq!(defused(cell), format!("'{cell}"));
        }
        for cell in ["", "6.05", "a=b", " =1"] {
            assert_eq!(defused(cell), cell);
        }
    }

    #[test]
    fn a_record_quotes_what_would_end_a_cell_and_doubles_its_quotes() {
        for (cell, written) in [
            ("a,b", "\"a,b\""),
            ("say \"x\"\nnow", "\"say \"\"x\"\"\nnow\""),
            ("=cmd|'/c calc'!A0\nx", "\"'=cmd|'/c calc'!A0\nx\""),
            ("\r=1", "\"'\r=1\""),
            ("-1", "'-1"),
            ("", ""),
        ] {
            assert_eq!(record(["1", cell]), format!("1,{written}\r\n"));
        }
    }
}
