use super::*;
use clap::Parser;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Dir {
        let d = Dir(tempfile::tempdir().expect("dir"));
        d.put("one", "secret1\n");
        d.put("two", "secret2\n");
        d
    }
    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("utf-8").to_string()
    }
    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("write");
    }
    fn get(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("read")
    }
    fn mode(&self, name: &str) -> u32 {
        std::fs::metadata(self.path(name)).expect("meta").mode() & 0o777
    }
    /// Runs with `%name` standing for the path of a file.
    fn run(&self, line: &str) -> Result<i32> {
        let words = line.split(' ').map(|w| match w.split_once('%') {
            Some((before, name)) => format!("{before}{}", self.path(name)),
            None => w.to_string(),
        });
        run(Cli::try_parse_from(std::iter::once("vault".to_string()).chain(words)).expect(line).args)
    }
    fn fails(&self, line: &str) -> String {
        self.run(line).expect_err(line).message().replace(&self.path(""), "")
    }
}

#[test]
fn files_there_and_back() {
    let d = Dir::new();
    d.put("f", "a: 1\n");
    std::fs::set_permissions(d.path("f"), std::fs::Permissions::from_mode(0o644)).expect("mode");
    d.run("encrypt --vault-id dev@%one %f").expect("encrypts");
    assert!(d.get("f").starts_with("$ANSIBLE_VAULT;1.2;AES256;dev\n"));
    assert_eq!(d.mode("f"), 0o600);
    assert_eq!(d.fails("encrypt --vault-id dev@%one %f"), "input is already encrypted");
    std::fs::set_permissions(d.path("f"), std::fs::Permissions::from_mode(0o640)).expect("mode");
    d.run("rekey --vault-password-file %one --new-vault-password-file %two %f").expect("rekeys");
    assert!(d.get("f").starts_with("$ANSIBLE_VAULT;1.1;AES256\n"));
    assert_eq!(d.mode("f"), 0o640);
    assert_eq!(
        d.fails("decrypt --vault-password-file %one %f"),
        "Decryption failed (no vault secrets were found that could decrypt). for f"
    );
    d.run("decrypt --vault-password-file %two %f --output %g").expect("decrypts");
    assert_eq!(d.get("g"), "a: 1\n");
    assert_eq!(std::fs::read_dir(d.0.path()).expect("dir").count(), 4, "nothing else is left behind");
}

#[test]
fn a_link_stays_a_link() {
    let d = Dir::new();
    d.put("f", "x\n");
    std::os::unix::fs::symlink(d.path("f"), d.path("l")).expect("link");
    d.run("encrypt --vault-id dev@%one %l").expect("encrypts");
    assert!(std::fs::symlink_metadata(d.path("l")).expect("meta").is_symlink());
    assert!(is_envelope(&d.get("f")));
}

#[test]
fn edits_keep_the_id() {
    let d = Dir::new();
    d.put("f", "a: 1\n");
    d.run("encrypt --vault-id dev@%one %f").expect("encrypts");
    let secrets = Secrets::new(vec![("other".into(), Secret::new("secret1"))], false);
    let o = open("f", d.get("f").as_bytes(), &secrets).expect("opens");
    assert_eq!((o.id.as_str(), o.secret.bytes()), ("dev", &b"secret1"[..]));
}

/// As a device (`/dev/null`) a pipe is no file whose place another may take.
#[test]
fn a_pipe_is_written_to_and_stays() {
    use std::os::unix::fs::FileTypeExt;
    let d = Dir::new();
    d.put("f", "a: 1\n");
    nix::unistd::mkfifo(d.path("pipe").as_str(), nix::sys::stat::Mode::S_IRWXU).expect("pipe");
    let pipe = d.path("pipe");
    let reader = std::thread::spawn(move || std::fs::read_to_string(pipe).expect("read"));
    d.run("encrypt --vault-id dev@%one --output %pipe %f").expect("encrypts");
    let kind = std::fs::symlink_metadata(d.path("pipe")).expect("meta").file_type();
    assert!(kind.is_fifo(), "the pipe was replaced");
    assert!(reader.join().expect("reads").starts_with("$ANSIBLE_VAULT;1.2;AES256;dev\n"));
}

#[test]
fn strings_are_values_of_yaml() {
    let d = Dir::new();
    let secrets = Secrets::new(vec![("dev".into(), Secret::new("secret1"))], true);
    for (name, want) in [("a", "foo"), ("b", "bär")] {
        d.run(&format!("encrypt_string --vault-id dev@%one --output %s --name {name} {want}")).expect("encrypts");
        let v = crate::yaml::parse_value(&d.get("s")).expect("yaml");
        let Some(crate::value::Value::Vault(t)) = v.get(name) else { panic!("{name} is not vaulted") };
        assert_eq!(secrets.decrypt_value(t).expect("opens"), want);
    }
}

#[test]
fn wrong_use_has_ansibles_words() {
    let d = Dir::new();
    d.put("f", "x\n");
    let two = "--vault-id dev@%one --vault-id x@%two";
    for (line, want) in [
        (
            format!("encrypt {two} %f"),
            "The vault-ids dev,x are available to encrypt. Specify the vault-id to encrypt with --encrypt-vault-id",
        ),
        (
            format!("encrypt {two} --encrypt-vault-id q %f"),
            "Did not find a match for --encrypt-vault-id=q in the known vault-ids ['dev', 'x']",
        ),
        (
            "encrypt --vault-password-file %one %f %f --output zz".into(),
            "At most one input file may be used with the --output option",
        ),
        ("view --vault-password-file %one %f".into(), "Input is not vault encrypted data. for f"),
        ("view --vault-password-file %nope %f".into(), "The vault password file nope was not found"),
        ("create --vault-password-file %one %a %b".into(), "ansible-vault create can take only one filename argument"),
        ("create --skip-tty-check --vault-password-file %one %f".into(), "f exists, please use 'edit' instead"),
    ] {
        assert_eq!(d.fails(&line), want, "{line}");
    }
}
