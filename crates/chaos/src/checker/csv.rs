//! Reads a file of the bank: RFC 4180, without any help of the service's reader.

/// The records of a file. What follows the last line break is cut off, and no record.
pub fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => field.extend(characters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            other => field.push(other),
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_commas_and_line_breaks_are_read_and_a_cut_record_is_none() {
        let text = "a,\"b,\"\"c\"\"\"\n\"d\ne\",\nf,g";
        let expected = [vec!["a".to_owned(), "b,\"c\"".to_owned()], vec!["d\ne".to_owned(), String::new()]];
        assert_eq!(records(text), expected);
    }
}
