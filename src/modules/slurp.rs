//! `slurp`: a file's content, base64-encoded, as a result.

use super::support::pytext::os_error;
use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support};
use base64::Engine as _;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// A result must fit in one frame of the protocol; larger files are for `fetch`.
const LIMIT: u64 = 40 << 20;

pub fn module() -> Module {
    Module {
        name: "slurp",
        collection: "ansible.builtin",
        spec: Spec::new(vec![Arg::path("src").required().aliases(&["path"]).doc("The file to read.")]),
        check: Support::Full,
        diff: Support::None,
        free_form: false,
        doc: "Slurps a file from remote nodes\n\nAnswers the content of a file, encoded as base64. Files beyond 40 MiB are refused: use fetch.",
        run,
    }
}

fn run(_: &mut Ctx, args: &Args) -> ModResult {
    let src = args.str("src");
    let fail = |e: std::io::Error| {
        let cause = os_error(&e, Path::new(src));
        let text = match e.kind() {
            ErrorKind::NotFound => format!("File not found: {src}"),
            ErrorKind::PermissionDenied => format!("File is not readable: {src}"),
            ErrorKind::IsADirectory => format!("Source is a directory and must be a file: {src}"),
            _ => return Failure::new(format!("Unable to slurp file: {cause}")),
        };
        Failure::new(text).set("_ansible_cause", cause)
    };
    let mut data = Vec::new();
    File::open(src).and_then(|f| f.take(LIMIT + 1).read_to_end(&mut data)).map_err(fail)?;
    if data.len() as u64 > LIMIT {
        return Err(Failure::new(format!("file is larger than {} MiB, use fetch instead: {src}", LIMIT >> 20)));
    }
    let content = base64::engine::general_purpose::STANDARD.encode(&data);
    Ok(Outcome::ok().set("content", content).set("source", src).set("encoding", "base64"))
}

#[cfg(test)]
mod tests {
    use crate::modules::{Ctx, find, run};
    use serde_json::json;

    #[test]
    fn reads_and_refuses() {
        let d = tempfile::tempdir().expect("dir");
        let f = d.path().join("f");
        std::fs::write(&f, "{{ x }}").expect("written");
        let ask = |p: &std::path::Path| {
            let a = json!({"src": p.to_string_lossy()});
            run(find("slurp").expect("known"), &mut Ctx::bare(), a.as_object().expect("object"))
        };
        assert_eq!(ask(&f)["content"], "e3sgeCB9fQ==");
        let dir = d.path().display();
        assert_eq!(ask(d.path())["msg"], format!("Source is a directory and must be a file: {dir}"));
        assert_eq!(ask(&f.with_extension("no"))["msg"], format!("File not found: {dir}/f.no"));
    }
}
