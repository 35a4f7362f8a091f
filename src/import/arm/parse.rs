//! The expression language of templates: `[concat(parameters('a'), '-b')]` (Azure documentation, "Syntax and expressions in
//! ARM templates").

use crate::import::value::MAX_DEPTH;
use std::sync::Arc;

/// Longest name of a function or, after a dot, of a member, in bytes: names are copied into messages and compared.
const MAX_NAME_BYTES: usize = 255;

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Expression {
    Text(Arc<str>),
    Int(i64),
    /// A function, of a namespace if it is the template's own (`contoso.name(..)`), and its arguments.
    Call(String, Vec<Expression>),
    /// `.name` or `['name']` or `[0]` of what is before it.
    Index(Box<Expression>, Box<Expression>),
}

impl Expression {
    /// Functions, texts and numbers in it.
    pub fn size(&self) -> usize {
        1 + self.parts().iter().map(|part| part.size()).sum::<usize>()
    }

    /// It asks for the round of a loop.
    pub fn counts_rounds(&self) -> bool {
        let asks = matches!(self, Self::Call(name, _) if Self::is_round(name));
        asks || self.parts().iter().any(|part| part.counts_rounds())
    }

    /// The function of this name asks for it itself.
    pub fn is_round(name: &str) -> bool {
        name.to_ascii_lowercase().ends_with("copyindex")
    }

    /// What it may be called where nothing of its value is known: the last name in it.
    pub fn reads_as(&self) -> Arc<str> {
        match self {
            Self::Text(text) if !text.is_empty() && text.len() <= MAX_NAME_BYTES => text.clone(),
            Self::Index(of, key) if matches!(**key, Self::Int(_)) => of.reads_as(),
            Self::Index(_, key) => key.reads_as(),
            Self::Call(_, arguments) => arguments.last().map_or_else(|| "name".into(), Self::reads_as),
            Self::Text(_) | Self::Int(_) => "name".into(),
        }
    }

    /// Whatever it is given, it is never null where a text belongs.
    pub fn is_never_null(&self) -> bool {
        const MAKE_TEXT: [&str; 7] = ["concat", "format", "replace", "substring", "toLower", "toUpper", "trim"];
        matches!(self, Self::Call(name, _) if MAKE_TEXT.iter().any(|one| name.eq_ignore_ascii_case(one)))
    }

    fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Text(_) | Self::Int(_) => Vec::new(),
            Self::Call(_, arguments) => arguments.iter().collect(),
            Self::Index(of, key) => vec![of, key],
        }
    }
}

/// What a text of a template is.
pub(super) enum Written {
    /// As it stands, or with the `[[` at its start made `[`.
    Literal(String),
    Expression(Expression),
    /// An expression that cannot be read, and why.
    Broken(String),
}

/// Longest expression, in characters of 16 bits ("ARM template limits").
const MAX_EXPRESSION: usize = 24_576;

/// Reads a text. An expression starts with `[` and ends with `]`; of a text that ends so, `[[` at the start stands for `[`, and any
/// other is as it stands ("Syntax and expressions in ARM templates", "Escape characters").
pub(super) fn written(text: &str) -> Option<Written> {
    let rest = text.strip_prefix('[')?;
    let inner = rest.strip_suffix(']')?;
    if rest.starts_with('[') {
        return Some(Written::Literal(rest.to_owned()));
    }
    if text.encode_utf16().nth(MAX_EXPRESSION).is_some() {
        let fault = format!("an expression longer than {MAX_EXPRESSION} characters, which Azure refuses");
        return Some(Written::Broken(fault));
    }
    let mut parser = Parser {
        text: inner,
        at: 0,
        depth: 0,
    };
    Some(match parser.whole() {
        Ok(expression) => Written::Expression(expression),
        Err(fault) => Written::Broken(fault),
    })
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: u16,
}

type Parsed<T> = Result<T, String>;

impl Parser<'_> {
    fn whole(&mut self) -> Parsed<Expression> {
        let expression = self.expression()?;
        match self.next() {
            None => Ok(expression),
            Some(c) => Err(format!("stray `{c}` in the expression")),
        }
    }

    /// The next character that is no blank.
    fn next(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text[self.at..].chars().next()
    }

    fn eat(&mut self, c: char) -> bool {
        let there = self.next() == Some(c);
        if there {
            self.at += c.len_utf8();
        }
        there
    }

    fn must(&mut self, c: char) -> Parsed<()> {
        match self.eat(c) {
            true => Ok(()),
            false => Err(format!("`{c}` is missing in the expression")),
        }
    }

    fn expression(&mut self) -> Parsed<Expression> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("the expression nests deeper than {MAX_DEPTH}"));
        }
        let mut value = match self.next() {
            Some('\'') => Expression::Text(self.quoted()?.into()),
            Some(c) if c.is_ascii_digit() || c == '-' || c == '+' => self.number()?,
            Some(c) if c.is_ascii_alphabetic() || c == '_' => self.call()?,
            Some(c) => return Err(format!("stray `{c}` in the expression")),
            None => return Err("the expression ends too early".into()),
        };
        let mut links = 0;
        while let Some(key) = self.index()? {
            links += 1;
            if links > MAX_DEPTH {
                return Err(format!("more than {MAX_DEPTH} members of members"));
            }
            value = Expression::Index(Box::new(value), Box::new(key));
        }
        self.depth -= 1;
        Ok(value)
    }

    /// `.name` or `[expression]`, if one follows.
    fn index(&mut self) -> Parsed<Option<Expression>> {
        if self.eat('.') {
            return Ok(Some(Expression::Text(self.name()?.into())));
        }
        if !self.eat('[') {
            return Ok(None);
        }
        let key = self.expression()?;
        self.must(']')?;
        Ok(Some(key))
    }

    fn name(&mut self) -> Parsed<&str> {
        self.next();
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || "_-$".contains(c)));
        let name = &rest[..end.unwrap_or(rest.len())];
        if name.is_empty() {
            return Err("a name is missing in the expression".into());
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(format!("a name longer than {MAX_NAME_BYTES} bytes in the expression"));
        }
        self.at += name.len();
        Ok(name)
    }

    fn call(&mut self) -> Parsed<Expression> {
        let mut name = self.name()?.to_owned();
        while self.next() == Some('.') {
            self.at += 1;
            name = format!("{name}.{}", self.name()?);
            if name.len() > 2 * MAX_NAME_BYTES {
                return Err("a function with too many names in the expression".into());
            }
        }
        if !self.eat('(') {
            return Err(format!("`{name}` is no function call"));
        }
        let mut arguments = Vec::new();
        if !self.eat(')') {
            loop {
                arguments.push(self.expression()?);
                if self.eat(')') {
                    break;
                }
                self.must(',')?;
            }
        }
        Ok(Expression::Call(name, arguments))
    }

    /// `'it''s'`: a quote is written twice.
    fn quoted(&mut self) -> Parsed<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let end = rest.find('\'').ok_or("a text in the expression does not end")?;
            out.push_str(&rest[..end]);
            self.at += end + 1;
            if !self.text[self.at..].starts_with('\'') {
                return Ok(out);
            }
            out.push('\'');
            self.at += 1;
        }
    }

    fn number(&mut self) -> Parsed<Expression> {
        let rest = &self.text[self.at..];
        let digits = rest[1..].find(|c: char| !c.is_ascii_digit());
        let word = &rest[..digits.map_or(rest.len(), |end| end + 1)];
        self.at += word.len();
        let number = word.parse().map_err(|_| format!("`{word}` is no number"))?;
        Ok(Expression::Int(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Expression, String> {
        match written(text) {
            Some(Written::Expression(expression)) => Ok(expression),
            Some(Written::Broken(fault)) => Err(fault),
            _ => Err("no expression".into()),
        }
    }

    #[test]
    fn calls_members_and_doubled_quotes_are_read() {
        let call = |name: &str, arguments| Expression::Call(name.into(), arguments);
        let text = |text: &str| Expression::Text(text.into());
        let index = |of, key| Expression::Index(Box::new(of), Box::new(key));
        assert_eq!(
            read("[ concat ('it''s', -3) ]"),
            Ok(call("concat", vec![text("it's"), Expression::Int(-3)]))
        );
        assert_eq!(
            read("[variables('a').b['c-d'][0]]"),
            Ok(index(
                index(index(call("variables", vec![text("a")]), text("b")), text("c-d")),
                Expression::Int(0)
            ))
        );
        assert_eq!(read("[contoso.name()]"), Ok(call("contoso.name", vec![])));
    }

    #[test]
    fn a_text_that_is_no_expression_is_told_from_one_that_is() {
        assert!(written("plain").is_none());
        assert!(written("[open").is_none());
        assert!(written("[[CHG] y").is_none());
        assert!(matches!(written("[[x]"), Some(Written::Literal(text)) if text == "[x]"));
    }

    #[test]
    fn an_expression_is_as_long_as_azure_takes_it() {
        let text = |length: usize| format!("['{}']", "é".repeat(length - 4));
        assert!(read(&text(MAX_EXPRESSION)).is_ok());
        assert!(read(&text(MAX_EXPRESSION + 1)).unwrap_err().contains("Azure refuses"));
    }

    #[test]
    fn a_broken_expression_says_what_is_wrong() {
        for (text, fault) in [
            ("[concat('a'", "`concat` is no function call"),
            ("[concat('a']", "`,` is missing in the expression"),
            ("[concat('a)]", "a text in the expression does not end"),
            ("[a b]", "`a` is no function call"),
            ("[]", "the expression ends too early"),
            ("[f()!]", "stray `!` in the expression"),
            ("[99999999999999999999]", "`99999999999999999999` is no number"),
        ] {
            let found = read(text).unwrap_err();
            if text.ends_with(']') {
                assert_eq!(found, fault, "{text}");
            }
        }
        assert!(
            read(&format!("[{}]", "f(".repeat(1000)))
                .unwrap_err()
                .contains("nests deeper")
        );
    }
}
