//! The InfluxDB line protocol, taken apart without a copy.
//!
//! ```text
//! measurement[,tag=value]... field=value[,field=value]... time
//! ```
//!
//! Strict where servers differ or guess: two backslashes in a row have no meaning that all of them share, and what is not
//! a number is not a number. A quoted text may go over several lines, so a text that holds a line of its own cannot
//! smuggle it in: what follows a fault inside of it is refused with it.
//!
//! * Source: InfluxData, "Line protocol", v2: <https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/>.

use super::Reason;

/// A line whose parts stand where the grammar wants them. What they mean is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Counted from 1.
    pub(super) number: u64,
    /// The whole of it, without its line feed.
    pub(super) text: &'a [u8],
    /// Measurement and tags, as written.
    pub(super) head: &'a [u8],
    pub(super) time: Option<&'a [u8]>,
}

/// A line that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken<'a> {
    pub(super) number: u64,
    pub(super) text: &'a [u8],
    pub(super) reason: Reason,
}

/// A field, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: Value<'a>,
}

/// What a field's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// Digits, perhaps with a point and a power of ten: still to be read.
    Decimal(&'a [u8]),
    /// What stood before an `i` or a `u`.
    Integer(&'a [u8]),
    Boolean,
    Text,
}

/// Lines of a body, one after the other.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    body: &'a [u8],
    at: usize,
    number: u64,
}

impl<'a> Lines<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { body, at: 0, number: 1 }
    }

    /// The next line, its fields in `fields`. Empty lines and comments are stepped over.
    pub(super) fn next(&mut self, fields: &mut Vec<Field<'a>>) -> Option<Result<Line<'a>, Broken<'a>>> {
        fields.clear();
        self.skip_nothing();
        self.peek()?;
        let (start, number) = (self.at, self.number);
        let taken = self.line(start, fields);
        let result = match taken {
            Ok((head, time)) => Ok(Line { number, text: self.between(start, self.at), head, time }),
            Err(reason) => {
                self.skip_to_line_feed();
                Err(Broken { number, text: self.between(start, self.at), reason })
            }
        };
        self.line_feed();
        Some(result)
    }

    fn line(&mut self, start: usize, fields: &mut Vec<Field<'a>>) -> Result<(&'a [u8], Option<&'a [u8]>), Reason> {
        self.head()?;
        let head = self.between(start, self.at);
        self.skip_spaces();
        loop {
            let key = self.key()?;
            let value = self.value()?;
            fields.push(Field { key, value });
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => break,
            }
        }
        let time = self.time()?;
        Ok((head, time))
    }

    /// Goes to the space behind the tags.
    fn head(&mut self) -> Result<(), Reason> {
        loop {
            let rest = self.body.get(self.at..).unwrap_or_default();
            self.at += memchr::memchr3(b' ', b'\\', b'\n', rest).unwrap_or(rest.len());
            match self.peek() {
                Some(b' ') => return Ok(()),
                Some(b'\\') => self.escape()?,
                _ => return Err(Reason::NoField),
            }
        }
    }

    fn key(&mut self) -> Result<&'a [u8], Reason> {
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'=') => break,
                None | Some(b'\n') if start == self.at => return Err(Reason::NoField),
                None | Some(b' ' | b',' | b'\n') => return Err(Reason::Syntax),
                Some(b'\\') => self.escape()?,
                Some(_) => self.at += 1,
            }
        }
        let key = self.between(start, self.at);
        self.at += 1;
        if key.is_empty() { Err(Reason::Syntax) } else { Ok(key) }
    }

    /// Steps over a backslash and what stands behind it.
    fn escape(&mut self) -> Result<(), Reason> {
        match self.body.get(self.at + 1) {
            None | Some(b'\\' | b'\n') => Err(Reason::Backslash),
            Some(_) => {
                self.at += 2;
                Ok(())
            }
        }
    }

    fn value(&mut self) -> Result<Value<'a>, Reason> {
        if self.peek() == Some(b'"') {
            return self.text();
        }
        let start = self.at;
        while !matches!(self.peek(), None | Some(b',' | b' ' | b'\n' | b'\r')) {
            self.at += 1;
        }
        match self.between(start, self.at) {
            [] => Err(Reason::Syntax),
            b"t" | b"T" | b"true" | b"True" | b"TRUE" | b"f" | b"F" | b"false" | b"False" | b"FALSE" => Ok(Value::Boolean),
            [digits @ .., b'i' | b'u'] => Ok(Value::Integer(digits)),
            decimal => Ok(Value::Decimal(decimal)),
        }
    }

    /// A quoted text, over as many lines as it takes.
    fn text(&mut self) -> Result<Value<'a>, Reason> {
        self.at += 1;
        loop {
            match self.peek() {
                None => return Err(Reason::Quote),
                Some(b'"') => break,
                Some(b'\\') => self.at += 1 + usize::from(matches!(self.body.get(self.at + 1), Some(b'"' | b'\\'))),
                Some(b'\n') => {
                    self.number += 1;
                    self.at += 1;
                }
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        match self.peek() {
            None | Some(b',' | b' ' | b'\n' | b'\r') => Ok(Value::Text),
            Some(_) => Err(Reason::Syntax),
        }
    }

    fn time(&mut self) -> Result<Option<&'a [u8]>, Reason> {
        self.skip_spaces();
        let start = self.at;
        while !matches!(self.peek(), None | Some(b' ' | b'\n' | b'\r')) {
            self.at += 1;
        }
        let time = self.between(start, self.at);
        self.skip_spaces();
        match self.peek() {
            None | Some(b'\n') => Ok(Some(time).filter(|time| !time.is_empty())),
            Some(_) => Err(Reason::Syntax),
        }
    }

    /// Over empty lines and comments.
    fn skip_nothing(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r') => self.at += 1,
                Some(b'\n') => self.line_feed(),
                Some(b'#') => self.skip_to_line_feed(),
                _ => return,
            }
        }
    }

    fn skip_spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\r')) {
            self.at += 1;
        }
    }

    fn skip_to_line_feed(&mut self) {
        let rest = self.body.get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    }

    fn line_feed(&mut self) {
        if self.peek() == Some(b'\n') {
            self.at += 1;
            self.number += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn between(&self, start: usize, end: usize) -> &'a [u8] {
        self.body.get(start..end).unwrap_or_default()
    }
}

/// Cuts at every `mark` that no backslash stands before.
pub(super) fn cut(text: &[u8], mark: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut escaped = false;
        let end = text.iter().position(|byte| {
            let found = *byte == mark && !escaped;
            escaped = *byte == b'\\' && !escaped;
            found
        });
        let (part, after) = match end {
            Some(end) => (text.get(..end)?, text.get(end + 1..)),
            None => (text, None),
        };
        rest = after;
        Some(part)
    })
}

/// The text that was meant.
///
/// * Errors: it is not UTF-8.
pub(super) fn plain(text: &[u8]) -> Result<String, Reason> {
    let text = std::str::from_utf8(text).map_err(|_other_bytes| Reason::Utf8)?;
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let escapes = character == '\\' && matches!(characters.peek(), Some(',' | '=' | ' ' | '"'));
        if !escapes {
            plain.push(character);
        }
    }
    Ok(plain)
}
