//! Our own documents as HTML. Headings get the anchors that links in documents and alerts use; links to files of the repository
//! become text, since no such page exists here.

use std::fmt::Write;

use pulldown_cmark::{Alignment, CowStr, Event, Options, Parser, Tag, TagEnd, html};

pub struct Document {
    /// Trusted: it is made of documents of the repository alone.
    pub html: String,
    /// The headings of the first level below the title: anchor and text.
    pub contents: Vec<(String, String)>,
}

/// A heading while its text is read.
struct Heading {
    level: u8,
    text: String,
    inner: Vec<Event<'static>>,
}

impl Document {
    /// `prefix` keeps the anchors of several documents on a page apart.
    #[must_use]
    pub fn new(markdown: &str, prefix: &str) -> Self {
        let parser = Parser::new_ext(markdown, Options::ENABLE_TABLES).map(Event::into_static);
        let (mut events, mut contents, mut heading, mut tables, mut links) =
            (Vec::new(), Vec::new(), None, 0, Vec::new());
        for event in parser {
            match (event, &mut heading) {
                (Event::Start(Tag::Heading { level, .. }), _) => {
                    heading = Some(Heading { level: level as u8, text: String::new(), inner: Vec::new() });
                }
                (Event::End(TagEnd::Heading(_)), open) => {
                    if let Some(done) = open.take().filter(|it| it.level > 1) {
                        let anchor = format!("{prefix}{}", slug(&done.text));
                        if done.level == 2 {
                            contents.push((anchor.clone(), done.text.clone()));
                        }
                        events.extend(headed(done, &anchor));
                    }
                }
                (event, Some(open)) => {
                    if let Event::Text(text) | Event::Code(text) = &event {
                        open.text.push_str(text);
                    }
                    open.inner.push(event);
                }
                (event, None) => events.extend(body(event, prefix, &mut tables, &mut links)),
            }
        }
        let mut page = String::new();
        html::push_html(&mut page, events.into_iter());
        Self { html: page, contents }
    }
}

/// A heading one level below its place in the document: the page has a title of its own.
fn headed(heading: Heading, anchor: &str) -> Vec<Event<'static>> {
    let level = heading.level + 1;
    let start = Event::Html(format!("<h{level} id=\"{anchor}\">").into());
    let end = Event::Html(format!("</h{level}>\n").into());
    [start].into_iter().chain(heading.inner).chain([end]).collect()
}

/// Text outside headings. Tables scroll in a region of their own.
fn body(event: Event<'static>, prefix: &str, tables: &mut u32, links: &mut Vec<bool>) -> Vec<Event<'static>> {
    match event {
        Event::Start(Tag::Table(columns)) => {
            *tables += 1;
            vec![region(prefix, *tables), Event::Start(Tag::Table(columns.iter().map(|_| Alignment::None).collect()))]
        }
        Event::End(TagEnd::Table) => vec![Event::End(TagEnd::Table), Event::Html("</div>\n".into())],
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let target = target(&dest_url, prefix);
            links.push(target.is_some());
            target.map(|dest_url| Event::Start(Tag::Link { link_type, dest_url, title, id })).into_iter().collect()
        }
        Event::End(TagEnd::Link) if links.pop() == Some(false) => Vec::new(),
        other => vec![other],
    }
}

fn region(prefix: &str, n: u32) -> Event<'static> {
    let mut html = String::new();
    let name = if prefix.is_empty() { "Table of the runbook" } else { "Table of words" };
    let _ = write!(html, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{name}, {n}\">");
    Event::Html(html.into())
}

/// Where a link leads on the page. None: to a file.
fn target(link: &str, prefix: &str) -> Option<CowStr<'static>> {
    if let Some(anchor) = link.strip_prefix('#') {
        return Some(format!("#{prefix}{anchor}").into());
    }
    // The runbook's parts stand on this page, whichever document names them.
    link.strip_prefix("OPERATIONS.md").filter(|it| it.starts_with('#')).map(|it| it.to_owned().into())
}

/// The anchor of a heading, as the repository's pages have it.
fn slug(text: &str) -> String {
    let kept = text.chars().filter(|it| it.is_alphanumeric() || " -_".contains(*it));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_have_anchors_and_links_lead_to_what_is_on_the_page() {
        let markdown = "# Title\n\n## A `b`, c\n\nSee [here](#a-b-c), [there](OPERATIONS.md#x) and [a file](../a.yaml).\n\n### D\n\n\
                        | a | b |\n|---|--:|\n| 1 | <x> |\n";
        let document = Document::new(markdown, "w-");
        assert_eq!(document.contents, [("w-a-b-c".to_owned(), "A b, c".to_owned())]);
        for part in [
            "<h3 id=\"w-a-b-c\">A <code>b</code>, c</h3>",
            "<a href=\"#w-a-b-c\">here</a>",
            "<a href=\"#x\">there</a>",
            "and a file.",
            "<h4 id=\"w-d\">D</h4>",
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table of words, 1\"><table>",
        ] {
            assert!(document.html.contains(part), "{part}: {}", document.html);
        }
        assert!(!document.html.contains("Title") && !document.html.contains("style="), "{}", document.html);
    }

    #[test]
    fn every_link_within_the_runbook_has_its_heading() {
        let document = Document::new(include_str!("../../../../../docs/OPERATIONS.md"), "");
        let links: Vec<&str> = document.html.split("href=\"#").skip(1).filter_map(|it| it.split('"').next()).collect();
        assert!(links.len() > 20, "{links:?}");
        for link in links {
            assert!(document.html.contains(&format!("id=\"{link}\"")), "{link}");
        }
    }
}
