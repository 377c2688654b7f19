//! Writes CSV: RFC 4180 quoting, LF, and the physical line of each record.

/// A file that grows record by record.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    text: String,
    lines: usize,
}

impl Sheet {
    /// Appends a record; returns its line, counted from 1. A quoted line break makes later lines larger, not the records.
    pub(super) fn record<T: AsRef<str>>(&mut self, fields: impl IntoIterator<Item = T>) -> usize {
        let line = self.lines + 1;
        for (at, field) in fields.into_iter().enumerate() {
            if at > 0 {
                self.text.push(',');
            }
            self.field(field.as_ref());
        }
        self.text.push('\n');
        self.lines += 1;
        line
    }

    fn field(&mut self, field: &str) {
        if !field.contains(['"', ',', '\r', '\n']) {
            self.text.push_str(field);
            return;
        }
        self.lines += field.matches('\n').count();
        self.text.push('"');
        self.text.push_str(&field.replace('"', "\"\""));
        self.text.push('"');
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_need_quotes_get_them_and_lines_are_physical_ones() {
        let mut sheet = Sheet::default();
        assert_eq!(sheet.record(["a", "b,c", ""]), 1);
        assert_eq!(sheet.record(["say \"x\"", "two\nlines"]), 2);
        assert_eq!(sheet.record(["end"]), 4);
        assert_eq!(sheet.finish(), "a,\"b,c\",\n\"say \"\"x\"\"\",\"two\nlines\"\nend\n");
    }
}
