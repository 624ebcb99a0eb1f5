//! Mutants that are named, in one build with the others: the function chooses which of its bodies runs.
//!
//! What such a mutant puts may be anything, so the smallest thing that can be chosen is the body of the function around it. The changed ones stand before
//! the usual one, each in one line, that of the brace: where the compiler finds fault with one, the line says whose it is.

use std::ops::Range;

use super::Mutant;

/// The body of the function that a mutant changes, without its braces; nothing if it changes more than that.
pub(super) fn body(one: &Mutant, source: &str) -> Option<Range<usize>> {
    let end = one.at + one.find.len();
    let around = |body: &Range<usize>| body.start <= one.at && end <= body.end;
    bodies(source).into_iter().filter(around).min_by_key(Range::len)
}

/// The same body with the change in it, in one line.
pub(super) fn changed(one: &Mutant, source: &str, body: &Range<usize>) -> String {
    let end = one.at + one.find.len();
    let text = format!("{}{}{}", &source[body.start..one.at], one.replace, &source[end..body.end]);
    let mut line = String::new();
    for piece in pieces(&text) {
        match piece {
            Piece::Comment(_) => line.push(' '),
            Piece::Text(range) => line += &text[range],
            Piece::Code(range) => line += &text[range].replace('\n', " "),
        }
    }
    line
}

/// What is in the braces of functions.
fn bodies(source: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    // Where the braces that are open began, and whether they are functions'.
    let mut open: Vec<(usize, bool)> = Vec::new();
    // Parentheses that are open since the last `fn`.
    let mut signature: Option<usize> = None;
    for piece in pieces(source) {
        let Piece::Code(range) = piece else { continue };
        let code = &source[range.clone()];
        for (at, letter) in code.char_indices() {
            let at = range.start + at;
            match (letter, signature) {
                ('f', None) if source[at..].starts_with("fn ") && !ends_in_word(&source[..at]) => signature = Some(0),
                ('(' | '[', Some(depth)) => signature = Some(depth + 1),
                (')' | ']', Some(depth)) => signature = Some(depth.saturating_sub(1)),
                (';', Some(0)) => signature = None,
                ('{', _) => {
                    let is_body = signature == Some(0);
                    open.push((at + 1, is_body));
                    if is_body {
                        signature = None;
                    }
                }
                ('}', _) => {
                    if let Some((start, true)) = open.pop() {
                        found.push(start..at);
                    }
                }
                _ => {}
            }
        }
    }
    found
}

/// The items that only tests have, or models instead of the real thing.
pub(super) fn of_tests(source: &str) -> Vec<Range<usize>> {
    const MARKS: [&str; 3] = ["#[cfg(test)]", "#[cfg(all(test", "mod model {"];
    let mut found: Vec<Range<usize>> = Vec::new();
    // Where the item in question began, and how many brackets are open in it.
    let mut item: Option<(usize, u32)> = None;
    for piece in pieces(source) {
        let Piece::Code(range) = piece else { continue };
        let code = &source[range.clone()];
        for (at, letter) in code.char_indices() {
            let at = range.start + at;
            let Some((start, depth)) = item else {
                if MARKS.iter().any(|mark| source[at..].starts_with(mark)) {
                    item = Some((at, 0));
                }
                continue;
            };
            let depth = match letter {
                '(' | '[' | '{' => depth + 1,
                ')' | ']' | '}' => depth.saturating_sub(1),
                _ => depth,
            };
            item = Some((start, depth));
            if depth == 0 && matches!(letter, '}' | ';') {
                found.push(start..at + 1);
                item = None;
            }
        }
    }
    found
}

fn ends_in_word(text: &str) -> bool {
    text.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_')
}

enum Piece {
    Code(Range<usize>),
    Comment(#[allow(dead_code)] Range<usize>),
    /// A literal.
    Text(Range<usize>),
}

/// Takes a source apart.
fn pieces(source: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(letter) = source[at..].chars().next() {
        let rest = &source[at..];
        let raw = |after: &str| !ends_in_word(&source[..at]) && rest.starts_with(after);
        let (length, comment) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), true)
        } else if rest.starts_with("/*") {
            (rest.find("*/").map_or(rest.len(), |end| end + 2), true)
        } else if raw("r\"") || raw("r#") && rest.trim_start_matches(['r', '#']).starts_with('"') {
            let hashes = rest[1..].len() - rest[1..].trim_start_matches('#').len();
            let end = format!("\"{}", "#".repeat(hashes));
            let begun = hashes + 2;
            (rest[begun..].find(&end).map_or(rest.len(), |at| begun + at + end.len()), false)
        } else if letter == '"' {
            (quoted(rest, '"'), false)
        } else if letter == '\'' && (rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'')) {
            (quoted(rest, '\''), false)
        } else {
            at += letter.len_utf8();
            continue;
        };
        found.push(Piece::Code(start..at));
        let range = at..at + length;
        found.push(if comment { Piece::Comment(range) } else { Piece::Text(range) });
        at += length;
        start = at;
    }
    found.push(Piece::Code(start..source.len()));
    found
}

/// How long a literal is that begins here.
fn quoted(text: &str, quote: char) -> usize {
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' {
            letters.next();
        } else if letter == quote {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::super::Mutant;
    use super::{body, changed, of_tests};

    fn mutant(source: &str, find: &str, replace: &str) -> Mutant {
        Mutant {
            package: "ring",
            at: source.find(find).expect("it is there"),
            find: find.to_owned(),
            replace: replace.to_owned(),
            ..Mutant::default()
        }
    }

    const SOURCE: &str = "impl A for [u8; 2] {
    fn a(&self, b: fn(u8)) -> [u8; 2] {
        // It is \"so {.
        let c = '{'; let d = \"}\";
        fn inner() { x(); }
        y()
    }
    fn b(&self);
}";

    #[test]
    fn a_function_is_found_around_its_change() {
        let one = mutant(SOURCE, "x();", "z();");
        let inner = body(&one, SOURCE).expect("it has one");
        assert_eq!(&SOURCE[inner.clone()], " x(); ");
        assert_eq!(changed(&one, SOURCE, &inner), " z(); ");
        let one = mutant(SOURCE, "y()\n", "z()\n");
        let outer = body(&one, SOURCE).expect("it has one");
        let line = changed(&one, SOURCE, &outer);
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words.join(" "), "let c = '{'; let d = \"}\"; fn inner() { x(); } z()");
        assert!(!line.contains('\n'));
    }

    #[test]
    fn items_of_tests_are_known_with_their_ends() {
        let source = "use a;
#[cfg(test)]
use b::c;
impl A {
    #[cfg(all(test, not(loom)))]
    #[allow(unused)]
    fn e(&self) -> [u8; 2] { '}'; \"}\"; { f } }
    fn g(&self) {}
}
mod model { h }
fn i() {}
";
        let items: Vec<&str> = of_tests(source).into_iter().map(|range| &source[range]).collect();
        assert_eq!(items[0], "#[cfg(test)]\nuse b::c;");
        assert!(items[1].ends_with("{ f } }"));
        assert_eq!(items[2..], ["mod model { h }"]);
    }

    #[test]
    fn what_is_more_than_a_body_is_in_none() {
        assert_eq!(body(&mutant(SOURCE, "y()\n    }\n    fn b", ""), SOURCE), None);
        assert_eq!(body(&mutant(SOURCE, "fn b(&self)", ""), SOURCE), None);
    }
}
