//! Text in the Atlassian Document Format, a tree of nodes that the tracker accepts instead of markup.
//! (<https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/>)

use serde_json::{Value, json};

/// The maximum length of a summary.
const SUMMARY: usize = 255;

/// A document under construction.
#[derive(Clone, Debug, Default)]
pub struct Document(Vec<Value>);

impl Document {
    #[must_use]
    pub fn paragraph(mut self, text: &str) -> Self {
        self.0.push(paragraph(&json!({"type": "text", "text": some(text)})));
        self
    }

    /// Adds a paragraph with a link.
    #[must_use]
    pub fn link(mut self, text: &str, url: &str) -> Self {
        let marks = json!([{"type": "link", "attrs": {"href": url}}]);
        self.0.push(paragraph(&json!({"type": "text", "text": some(text), "marks": marks})));
        self
    }

    /// Adds a list; nothing for no items, because the tracker refuses an empty list.
    #[must_use]
    pub fn list(mut self, items: impl IntoIterator<Item = String>) -> Self {
        let item = |text: String| json!({"type": "listItem", "content": [paragraph(&json!({"type": "text", "text": some(&text)}))]});
        let items: Vec<Value> = items.into_iter().map(item).collect();
        if !items.is_empty() {
            self.0.push(json!({"type": "bulletList", "content": items}));
        }
        self
    }

    /// The document as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({"type": "doc", "version": 1, "content": self.0})
    }
}

fn paragraph(content: &Value) -> Value {
    json!({"type": "paragraph", "content": [content]})
}

/// The tracker refuses an empty text node.
fn some(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// A document's text, its parts separated by spaces.
pub(super) fn text(node: &Value) -> String {
    let mut said = String::new();
    // Iterative: the other side controls the depth of nesting.
    let mut left = vec![node];
    while let Some(node) = left.pop() {
        if let Some(text) = node["text"].as_str() {
            said.push_str(text);
            said.push(' ');
        }
        left.extend(node["content"].as_array().into_iter().flatten().rev());
    }
    said
}

/// Text on one line, at most as long as a summary.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SUMMARY).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_in_the_order_in_which_it_was_written() {
        let document =
            Document::default().paragraph("one").list(["two".to_owned(), String::new()]).link("three", "x:y");
        assert_eq!(text(&document.json()), "one two - three ");
        assert_eq!(Document::default().list([]).json()["content"], json!([]));
    }

    #[test]
    fn a_summary_is_one_line_of_at_most_255_characters() {
        assert_eq!(one_line("a\nb\r\tc"), "a b  c");
        assert_eq!(one_line(&"ü".repeat(300)).chars().count(), 255);
    }
}
