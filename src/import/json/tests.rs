use super::*;

fn one(text: &str) -> Value {
    parse(text, 0).unwrap().remove(0)
}

#[test]
fn comments_trailing_commas_and_line_breaks_in_texts_are_read_as_resource_manager_reads_them() {
    let value = one("// first\n{ \"a\": [1, 2,], /* two\nlines */ \"B\": \"x\ny\", }");
    assert_eq!(value.get("A").unwrap().as_list().unwrap().len(), 2);
    let b = value.get("b").unwrap();
    assert_eq!(b.as_str(), Some("x\ny"));
    assert_eq!((b.at.line, b.at.column), (3, 15));
}

#[test]
fn documents_joined_by_a_comma_are_read_one_after_the_other() {
    assert_eq!(parse("{\"a\":1},\n{\"b\":2}", 0).unwrap().len(), 2);
    assert_eq!(parse("{} []", 0).unwrap().len(), 2);
}

#[test]
fn escapes_are_read_and_halves_of_characters_refused() {
    assert_eq!(one(r#""\u00e9\ud83d\ude00\/""#).as_str(), Some("é😀/"));
    assert!(parse(r#""\ud83d""#, 0).is_err());
    assert!(parse(r#""\u+123""#, 0).is_err());
}

#[test]
fn a_file_of_windows_powershell_in_utf_16_is_read() {
    let text = "\u{feff}{\"a\": 1}";
    let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(one(&decode(&bytes).unwrap()).get("a").unwrap().as_int(), Some(1));
}

#[test]
fn utf_16_without_its_mark_is_read_as_well() {
    let text = "{\"a\": 1}";
    for read in [u16::to_le_bytes, u16::to_be_bytes] {
        let bytes: Vec<u8> = text.encode_utf16().flat_map(read).collect();
        assert_eq!(decode(&bytes).unwrap(), text);
    }
    assert_eq!(decode(b"3").unwrap(), "3");
}

#[test]
fn what_is_no_json_is_told_what_to_do_by_its_name_or_its_start() {
    for (name, text, word) in [
        ("main.bicep", "// hub\nparam x string", "az bicep build --file"),
        ("main.txt", "\nparam x string", "az bicep build --file"),
        ("x.bicepparam", "using 'main.bicep'", "build-params"),
        ("out.json", "- action:\n    type: Deny", "--output json"),
        ("out.json", "id: /subscriptions/x", "--output json"),
        ("out.json", "\u{1b}[1m{\u{1b}[0m", "colours"),
    ] {
        assert!(hint(text, name).contains(word), "{name} {text:?}");
        assert!(parse(text, 0).is_err());
    }
    assert_eq!(hint("{\"a\": nope}", "a.json"), "");
    assert_eq!(hint("\"a\": nope", "a.json"), "");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, line, column, found) in [
        ("", 1, 1, "nothing is written here"),
        ("{\"a\":1,\n \"A\":2}", 2, 2, "`A` is there twice"),
        ("[1 2]", 1, 4, "neither `,` nor `]`"),
        ("{\"a\" 1}", 1, 6, "`:` is missing"),
        ("[nope]", 1, 2, "`nope` is no value"),
        ("\n\"abc", 2, 1, "a text that does not end"),
        ("[1e999]", 1, 2, "`1e999` is no value"),
        ("[/* x", 1, 2, "a comment that does not end, or a stray `/`"),
    ] {
        let error = parse(text, 0).unwrap_err();
        assert_eq!(
            (error.at.line, error.at.column, error.found.as_str()),
            (line, column, found)
        );
    }
}

#[test]
fn of_many_names_the_second_of_one_is_found_in_any_case() {
    let member = |name: String| (Arc::from(name), Value::null(Place::default()));
    let mut entries: Vec<_> = (0..100).map(|index| member(format!("Name{index}"))).collect();
    assert_eq!(second_of_a_name(&entries), None);
    entries.push(member("nAME99".into()));
    entries.push(member("name5".into()));
    assert_eq!(second_of_a_name(&entries), Some(100));
}

#[test]
fn nesting_beyond_the_limit_is_an_error_and_no_stack_overflow() {
    let error = parse(&"[".repeat(1_000_000), 0).unwrap_err();
    assert!(error.found.starts_with("nested deeper"), "{error:?}");
}

#[test]
fn a_file_of_utf_8_is_not_copied() {
    for text in ["{}", "\u{feff}{}"] {
        assert!(matches!(decode(text.as_bytes()), Ok(std::borrow::Cow::Borrowed("{}"))));
    }
}
