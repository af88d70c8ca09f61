//! A module's result in what it wrote: an object of JSON, perhaps among other lines.

use serde_json::{Map, Value as Json};

/// The object that begins with the first line that looks like one, up to the last line that ends one.
/// Lines after it are told in `junk`. The error is in the words of Python's `json`.
pub fn result(text: &str, junk: &mut Vec<String>) -> Result<Map<String, Json>, String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let Some(start) = lines.iter().position(|l| l.trim().starts_with('{')) else {
        return Err("No start of json char found".into());
    };
    let rest = lines.get(start..).unwrap_or_default();
    let Some(end) = rest.iter().rposition(|l| l.trim().ends_with('}')) else {
        return Err("No end of json char found".into());
    };
    let after: String = rest.get(end + 1..).unwrap_or_default().concat();
    if !after.trim().is_empty() {
        junk.push(format!("Module invocation had junk after the JSON data: {}", after.trim()));
    }
    let body: String = rest.get(..=end).unwrap_or_default().concat();
    let body = body.trim_end_matches('\n');
    let value = match serde_json::from_str(body) {
        Ok(v) => v,
        // Python reads a little more than JSON, and says it in its own way
        Err(_) => crate::template::python_json(body)?,
    };
    match value {
        Json::Object(m) => Ok(m),
        _ => Err("the module's result is not a dictionary".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Result<Map<String, Json>, String>, Vec<String>) {
        let mut junk = vec![];
        (result(text, &mut junk), junk)
    }

    #[test]
    fn among_other_lines() {
        let (r, junk) = read("noise\n  {\"a\": 1,\n \"b\": NaN}\nbye\nand more\n");
        assert_eq!(r.map(|m| m.len()), Ok(2));
        assert_eq!(junk, ["Module invocation had junk after the JSON data: bye\nand more"]);
        let (r, junk) = read("{\"a\": 1}");
        assert!(r.is_ok() && junk.is_empty());
    }

    #[test]
    fn errors_in_pythons_words() {
        let err = |t: &str| read(t).0.err().unwrap_or_default();
        assert_eq!(err("hi\n"), "No start of json char found");
        assert_eq!(err("[1]\n"), "No start of json char found");
        assert_eq!(err("{\n"), "No end of json char found");
        assert_eq!(err("{\"a\": 1,}\n"), "Expecting property name enclosed in double quotes: line 1 column 9 (char 8)");
        assert_eq!(err("{\"a\": \"x\ny\"}"), "Invalid control character at: line 1 column 9 (char 8)");
    }
}
