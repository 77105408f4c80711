//! From YAML events to a tree whose scalars keep their source text and whose nodes know their lines.

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, ScanError, Span};

use crate::config::problem::Problem;

/// One node of a YAML document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// A value, its text as written (quotes and escapes resolved).
    Scalar(String),
    /// A key without a value.
    Empty,
    /// A mapping, in order. A key that stands there twice is a problem, and only its first value is kept.
    Map(Vec<Pair>),
    /// A sequence, in order, each item with its line.
    List(Vec<(usize, Node)>),
    /// Something that a problem already tells about.
    Refused,
}

/// A key of a mapping and what it holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) node: Node,
}

/// Reads the one document of a text. None = a syntax error or another fault that leaves nothing to look at.
pub(super) fn read(text: &str, problems: &mut Vec<Problem>) -> Option<Node> {
    let mut reader = Reader { text, events: Events::new(text), problems };
    let read = reader.document();
    match read {
        Ok(node) => node,
        Err(error) => {
            let sentence = format!("is no YAML: {}", error.info().replace('\n', ", "));
            let hint = "correct the line, or put the value in quotes";
            problems.push(Problem::new("", sentence, hint).at(Some(error.marker().line())));
            None
        }
    }
}

type Next<'a> = Result<(Event<'a>, Span), ScanError>;

/// The events of a text without comments and stream marks.
struct Events<'a>(Parser<'a, granit_parser::StrInput<'a>>);

impl<'a> Events<'a> {
    fn new(text: &'a str) -> Self {
        let mut options = granit_parser::Options::default();
        options.set_emit_comments(false);
        Events(Parser::new_from_str_with_options(text, options))
    }

    fn next(&mut self) -> Next<'a> {
        loop {
            match self.0.next() {
                Some(Ok((Event::StreamStart | Event::DocumentStart(..), _))) => {}
                Some(next) => return next,
                None => return Ok((Event::StreamEnd, Span::default())),
            }
        }
    }
}

struct Reader<'a, 'p> {
    text: &'a str,
    events: Events<'a>,
    problems: &'p mut Vec<Problem>,
}

impl<'a> Reader<'a, '_> {
    fn document(&mut self) -> Result<Option<Node>, ScanError> {
        let (first, span) = self.events.next()?;
        if matches!(first, Event::StreamEnd) {
            self.problem(1, "", "the file is empty", "write `key: value`, one a line");
            return Ok(None);
        }
        let node = self.node(first, span)?;
        self.events.next()?;
        let (after, span) = self.events.next()?;
        if matches!(after, Event::StreamEnd) {
            return Ok(Some(node));
        }
        let hint = "put each into a file of its own";
        self.problem(span.start.line(), "", "a second document begins here, and a file holds one", hint);
        Ok(None)
    }

    /// The node that an event begins, to its end.
    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, ScanError> {
        let refused = self.refuse_properties(&event, &span);
        let node = match event {
            Event::Scalar(text, style, ..) => {
                let is_empty = style == ScalarStyle::Plain && span.slice(self.text).is_none_or(str::is_empty);
                if is_empty { Node::Empty } else { Node::Scalar(text.into_owned()) }
            }
            Event::SequenceStart(..) => self.list()?,
            Event::MappingStart(..) => self.map()?,
            _ => Node::Refused,
        };
        Ok(if refused { Node::Refused } else { node })
    }

    /// Anchors, aliases and tags have no use here: every value is a text, and a file is read top to bottom.
    fn refuse_properties(&mut self, event: &Event<'_>, span: &Span) -> bool {
        let anchor = match event {
            Event::Scalar(_, _, anchor, _) | Event::SequenceStart(_, anchor, _) | Event::MappingStart(_, anchor, _) => {
                *anchor
            }
            Event::Alias(_) => 1,
            _ => 0,
        };
        let line = span.start.line();
        if anchor != 0 {
            self.problem(line, "", "anchors and aliases are not read", "write the value out where it is used");
        }
        if event.tag().is_some() {
            let tag = span.tag_span().and_then(|tag| tag.slice(self.text)).unwrap_or("!");
            let sentence = format!("the tag `{tag}` is not read, since every value keeps its text");
            self.problem(line, "", &sentence, "remove the tag");
        }
        anchor != 0 || event.tag().is_some()
    }

    fn list(&mut self) -> Result<Node, ScanError> {
        let mut items = Vec::new();
        loop {
            match self.events.next()? {
                (Event::SequenceEnd, _) => return Ok(Node::List(items)),
                (event, span) => items.push((span.start.line(), self.node(event, span)?)),
            }
        }
    }

    fn map(&mut self) -> Result<Node, ScanError> {
        let mut pairs: Vec<Pair> = Vec::new();
        loop {
            let (event, span) = self.events.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Node::Map(pairs));
            }
            let line = span.start.line();
            let key = self.node(event, span)?;
            let (event, span) = self.events.next()?;
            let node = self.node(event, span)?;
            if let Some(key) = self.key(key, line, &pairs) {
                pairs.push(Pair { key, line, node });
            }
        }
    }

    /// The text of a key, unless it is none or stands there already.
    fn key(&mut self, node: Node, line: usize, pairs: &[Pair]) -> Option<String> {
        let key = match node {
            Node::Scalar(key) if key == "<<" => {
                self.problem(line, "<<", "merge keys are not read", "write the keys out");
                return None;
            }
            Node::Scalar(key) if !key.is_empty() => key,
            Node::Refused => return None,
            _ => {
                self.problem(line, "", "a key must be a text", "put the key of an option before the colon");
                return None;
            }
        };
        if let Some(first) = pairs.iter().find(|pair| pair.key == key) {
            let sentence = format!("stands twice, on line {} and on line {line}", first.line);
            self.problem(line, &key, &sentence, "remove one of them");
            return None;
        }
        Some(key)
    }

    fn problem(&mut self, line: usize, key: &str, message: &str, hint: &str) {
        self.problems.push(Problem::new(key, message, hint).at(Some(line)));
    }
}
