//! `dirigo vault` (ansible-vault): create, edit, view, encrypt, decrypt, rekey, encrypt_string.

use super::common::VaultArgs;
use super::config::Config;
use crate::diag::{Error, Kind, Result};
use crate::inventory::load::absolute;
use crate::output::Screen;
use crate::vault::prompt::{ask, ask_secret};
use crate::vault::source::VaultSources;
use crate::vault::{Secret, Secrets, encrypt, is_envelope};
use camino::Utf8Path;
use clap::Subcommand;
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::sync::Arc;

/// Encrypt and decrypt files and values.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Create a new vaulted file in the editor.
    Create(Create),
    /// Edit a vaulted file.
    Edit(Edit),
    /// Show vaulted files.
    View(Files),
    /// Encrypt files (or standard input).
    Encrypt(Encrypt),
    /// Decrypt files (or standard input).
    Decrypt(Convert),
    /// Encrypt files anew with another secret.
    Rekey(Rekey),
    /// Encrypt strings as values for YAML files.
    #[command(name = "encrypt_string")]
    EncryptString(Strings),
}

#[derive(clap::Args, Debug)]
struct Common {
    #[command(flatten)]
    vault: VaultArgs,
    /// Say more
    #[arg(short = 'v', long = "verbose", action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(clap::Args, Debug)]
struct Identity {
    /// The vault id to encrypt with (needed if there are several)
    #[arg(long, value_name = "ENCRYPT_VAULT_ID")]
    encrypt_vault_id: Option<String>,
}

/// What the actions take that encrypt.
#[derive(clap::Args, Debug)]
struct Sealing {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    identity: Identity,
}

#[derive(clap::Args, Debug)]
struct Create {
    #[command(flatten)]
    edit: Edit,
    /// Open the editor although there is no terminal
    #[arg(long)]
    skip_tty_check: bool,
}

#[derive(clap::Args, Debug)]
struct Edit {
    #[command(flatten)]
    sealing: Sealing,
    #[arg(value_name = "file_name")]
    files: Vec<String>,
}

#[derive(clap::Args, Debug)]
struct Files {
    #[command(flatten)]
    common: Common,
    #[arg(value_name = "file_name")]
    files: Vec<String>,
}

#[derive(clap::Args, Debug)]
struct Convert {
    #[command(flatten)]
    common: Common,
    /// Where the result goes; - is standard output
    #[arg(long, value_name = "OUTPUT_FILE")]
    output: Option<String>,
    #[arg(value_name = "file_name")]
    files: Vec<String>,
}

#[derive(clap::Args, Debug)]
struct Encrypt {
    #[command(flatten)]
    convert: Convert,
    #[command(flatten)]
    identity: Identity,
}

#[derive(clap::Args, Debug)]
struct Rekey {
    #[command(flatten)]
    sealing: Sealing,
    /// File with the new vault password
    #[arg(long, value_name = "FILE", conflicts_with = "new_vault_id")]
    new_vault_password_file: Option<String>,
    /// The new vault id with the source of its secret
    #[arg(long, value_name = "NEW_VAULT_ID")]
    new_vault_id: Option<String>,
    #[arg(value_name = "file_name")]
    files: Vec<String>,
}

#[derive(clap::Args, Debug)]
struct Strings {
    #[command(flatten)]
    sealing: Sealing,
    /// Where the result goes; - is standard output
    #[arg(long, value_name = "OUTPUT_FILE")]
    output: Option<String>,
    /// Ask for the string
    #[arg(short = 'p', long)]
    prompt: bool,
    /// Show the string while it is typed
    #[arg(long)]
    show_input: bool,
    /// Name of the variable, once per string
    #[arg(short = 'n', long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Name of the variable read from standard input
    #[arg(long, value_name = "NAME")]
    stdin_name: Option<String>,
    #[arg(value_name = "string_to_encrypt")]
    strings: Vec<String>,
}

impl Action {
    fn common(&self) -> &Common {
        match self {
            Action::Create(Create { edit: e, .. }) | Action::Edit(e) => &e.sealing.common,
            Action::View(f) => &f.common,
            Action::Encrypt(Encrypt { convert: c, .. }) | Action::Decrypt(c) => &c.common,
            Action::Rekey(r) => &r.sealing.common,
            Action::EncryptString(s) => &s.sealing.common,
        }
    }
}

/// Does what was asked; 0, or the error's code.
pub fn run(a: Args) -> Result<i32> {
    let config = Config::load()?;
    config.tell(a.action.common().verbose)?;
    let screen = Screen::of_stdout(0);
    config.warnings.iter().for_each(|w| crate::output::show_warning(w, screen.color));
    match a.action {
        Action::Create(e) => create(&e, &config)?,
        Action::Edit(e) => edit(&e, &config)?,
        Action::View(f) => {
            let secrets = existing(&f.common, &config)?;
            for name in &f.files {
                let plain = open(name, &read(name)?, &secrets)?.plain;
                std::io::stdout().write_all(&plain)?;
                if !plain.ends_with(b"\n") {
                    println!();
                }
            }
        }
        Action::Encrypt(e) => {
            let c = e.convert;
            one_output(&c.output, &c.files)?;
            let (id, secret) = new_or_given(&c.common, &e.identity, &config)?;
            convert(&c, "plaintext", "Encryption", |_, bytes| {
                if std::str::from_utf8(bytes).is_ok_and(is_envelope) {
                    return Err(Error::general("input is already encrypted"));
                }
                Ok(encrypt(bytes, (&id, &secret)).into_bytes())
            })?;
        }
        Action::Decrypt(c) => {
            one_output(&c.output, &c.files)?;
            let secrets = existing(&c.common, &config)?;
            convert(&c, "ciphertext", "Decryption", |name, bytes| Ok(open(name, bytes, &secrets)?.plain))?;
        }
        Action::Rekey(r) => rekey(&r, &config)?,
        Action::EncryptString(s) => strings(&s, &config)?,
    }
    Ok(0)
}

fn sources(v: &VaultArgs, c: &Config) -> Result<VaultSources> {
    let mut vault_ids = c.list("vault_identity_list");
    vault_ids.extend(v.vault_id.iter().cloned());
    let mut password_files: Vec<String> = c.text("vault_password_file").into_iter().collect();
    password_files.extend(v.vault_password_file.iter().cloned());
    let mut s = VaultSources {
        warn: Some(|text| crate::output::show_warning(text, false)),
        vault_ids,
        password_files,
        ask: v.ask_vault_password,
        default_label: c.text("vault_identity").unwrap_or_default(),
        match_ids: c.flag("vault_id_match", false)?,
        new_secret: false,
    };
    // Without any source the secret is asked for.
    s.ask |= s.vault_ids.is_empty() && s.password_files.is_empty();
    Ok(s)
}

/// Secrets that open what is there.
fn existing(c: &Common, config: &Config) -> Result<Secrets> {
    sources(&c.vault, config)?.load()
}

/// The id and the secret to encrypt with.
fn new_or_given(c: &Common, to: &Identity, config: &Config) -> Result<(Arc<str>, Secret)> {
    let mut s = sources(&c.vault, config)?;
    s.new_secret = true;
    let wanted = to.encrypt_vault_id.clone().or_else(|| config.text("vault_encrypt_identity"));
    choose(&s.load()?, wanted.as_deref())
}

fn choose(secrets: &Secrets, wanted: Option<&str>) -> Result<(Arc<str>, Secret)> {
    let ids = || secrets.list().iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>();
    match (secrets.list(), wanted) {
        ([], _) => Err(Error::options("A vault password is required to use Ansible's Vault")),
        (all, Some(w)) => all.iter().find(|(id, _)| **id == *w).cloned().ok_or_else(|| {
            let known = crate::value::Value::list(ids().into_iter().map(Into::into).collect()).repr();
            Error::new(
                Kind::Vault,
                format!("Did not find a match for --encrypt-vault-id={w} in the known vault-ids {known}"),
            )
        }),
        ([one], None) => Ok(one.clone()),
        (_, None) => Err(Error::options(format!(
            "The vault-ids {} are available to encrypt. Specify the vault-id to encrypt with --encrypt-vault-id",
            ids().join(",")
        ))),
    }
}

fn one_output(output: &Option<String>, inputs: &[String]) -> Result<()> {
    if output.is_some() && inputs.len() > 1 {
        return Err(Error::options("At most one input file may be used with the --output option"));
    }
    Ok(())
}

/// Reads every file (or standard input), and writes what `f` makes of it in its place or to `--output`.
fn convert(c: &Convert, what: &str, done: &str, f: impl Fn(&str, &[u8]) -> Result<Vec<u8>>) -> Result<()> {
    let stdin = ["-".to_string()];
    let files = if c.files.is_empty() { &stdin[..] } else { &c.files[..] };
    if c.files.is_empty() && std::io::stdin().is_terminal() {
        eprintln!("Reading {what} input from stdin");
    }
    for name in files {
        let shown = if name == "-" { name.clone() } else { absolute(name).into_string() };
        let out = f(&shown, &read(name)?)?;
        write(c.output.as_deref().unwrap_or(name), &out, None)?;
    }
    if std::io::stdout().is_terminal() {
        eprintln!("{done} successful");
    }
    Ok(())
}

fn read(name: &str) -> Result<Vec<u8>> {
    if name == "-" {
        let mut out = Vec::new();
        std::io::stdin().read_to_end(&mut out)?;
        return Ok(out);
    }
    let path = absolute(name);
    std::fs::read(&path).map_err(|e| {
        let words = match e.kind() {
            std::io::ErrorKind::NotFound => format!("[Errno 2] No such file or directory: '{path}'"),
            std::io::ErrorKind::IsADirectory => format!("[Errno 21] Is a directory: '{path}'"),
            std::io::ErrorKind::PermissionDenied => format!("[Errno 13] Permission denied: '{path}'"),
            _ => e.to_string(),
        };
        Error::general(format!("Unable to read source file ({path}): {words}"))
    })
}

struct Opened {
    plain: Vec<u8>,
    /// The id in the header; `default` for format 1.1.
    id: String,
    secret: Secret,
}

fn open(name: &str, bytes: &[u8], secrets: &Secrets) -> Result<Opened> {
    let text = std::str::from_utf8(bytes).unwrap_or("");
    let (plain, id, secret) =
        secrets.open(text).map_err(|e| Error::new(Kind::Vault, format!("{} for {name}", e.message())))?;
    Ok(Opened { plain, id: id.unwrap_or_else(|| "default".into()), secret })
}

/// Writes atomically: a new file beside the old one takes its place. `like`: mode and owner to keep;
/// otherwise only the owner may read it. What a device or a pipe is called is written to, not replaced.
fn write(name: &str, bytes: &[u8], like: Option<&std::fs::Metadata>) -> Result<()> {
    if name == "-" {
        std::io::stdout().write_all(bytes)?;
        return Ok(());
    }
    // A link stays a link: what it points to is replaced.
    let path = absolute(name);
    let failed = |e: std::io::Error| Error::general(format!("Unable to write {path}: {e}"));
    match std::fs::metadata(&path) {
        Ok(m) if m.is_dir() => return Err(Error::general(format!("Unable to write {path}: it is a directory"))),
        Ok(m) if !m.is_file() => {
            let mut there = std::fs::File::options().write(true).open(&path).map_err(failed)?;
            return there.write_all(bytes).map_err(failed);
        }
        _ => {}
    }
    let path = path.canonicalize_utf8().unwrap_or(path.clone());
    let dir = path.parent().unwrap_or(Utf8Path::new("/"));
    let mut tmp = tempfile::Builder::new()
        .prefix(".vault-")
        .tempfile_in(dir)
        .map_err(|_| Error::general(format!("Destination '{dir}' not writable")))?;
    tmp.write_all(bytes).map_err(failed)?;
    if let Some(m) = like {
        let file = tmp.as_file();
        file.set_permissions(std::fs::Permissions::from_mode(m.mode() & 0o7777)).map_err(failed)?;
        std::os::unix::fs::fchown(file, Some(m.uid()), Some(m.gid())).map_err(failed)?;
    }
    tmp.as_file().sync_all().map_err(failed)?;
    let old = std::fs::File::options().write(true).open(&path).ok();
    tmp.persist(&path).map_err(|e| failed(e.error))?;
    if let Some(old) = old {
        wipe(&old, &path).map_err(failed)?;
    }
    Ok(())
}

/// Overwrites what a replaced file held, so that the text is not on the disk any more. A file that has further
/// names (hard links) stays as it is, with a warning.
fn wipe(old: &std::fs::File, path: &Utf8Path) -> std::io::Result<()> {
    let m = old.metadata()?;
    if m.nlink() > 0 {
        let text = format!("what {path} held is still there under another name of the file (a hard link)");
        crate::output::show_warning(&text, Screen::of_stdout(0).color);
        return Ok(());
    }
    std::io::copy(&mut std::io::repeat(0).take(m.len()), &mut &*old)?;
    old.sync_data()
}

fn rekey(r: &Rekey, config: &Config) -> Result<()> {
    let secrets = existing(&r.sealing.common, config)?;
    let new = VaultSources {
        warn: Some(|text| crate::output::show_warning(text, false)),
        vault_ids: r.new_vault_id.clone().into_iter().collect(),
        password_files: r.new_vault_password_file.clone().into_iter().collect(),
        ask: r.new_vault_id.is_none() && r.new_vault_password_file.is_none(),
        default_label: config.text("vault_identity").unwrap_or_default(),
        match_ids: false,
        new_secret: true,
    };
    let (id, secret) = choose(&new.load()?, r.sealing.identity.encrypt_vault_id.as_deref())?;
    for name in &r.files {
        let path = absolute(name);
        let opened = open(path.as_str(), &read(name)?, &secrets)?;
        let meta = std::fs::metadata(&path)?;
        write(name, encrypt(&opened.plain, (&id, &secret)).as_bytes(), Some(&meta))?;
    }
    eprintln!("Rekey successful");
    Ok(())
}

fn create(c: &Create, config: &Config) -> Result<()> {
    let [name] = c.edit.files.as_slice() else {
        return Err(Error::options("ansible-vault create can take only one filename argument"));
    };
    let sealing = &c.edit.sealing;
    let (id, secret) = new_or_given(&sealing.common, &sealing.identity, config)?;
    if !c.skip_tty_check && !std::io::stdout().is_terminal() {
        return Err(
            Error::options("not a tty, editor cannot be opened").help("Use --skip-tty-check if the editor needs none.")
        );
    }
    let path = absolute(name);
    if path.exists() {
        return Err(Error::general(format!("{name} exists, please use 'edit' instead")));
    }
    if let Some(dir) = path.parent().filter(|d| !d.exists()) {
        let given = Utf8Path::new(name).parent().unwrap_or(dir);
        crate::output::show_warning(&format!("{given} does not exist, creating..."), Screen::of_stdout(0).color);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let text = in_editor(&path, b"")?;
    write(name, encrypt(&text, (&id, &secret)).as_bytes(), None)
}

fn edit(e: &Edit, config: &Config) -> Result<()> {
    let secrets = existing(&e.sealing.common, config)?;
    for name in &e.files {
        let path = absolute(name);
        let opened = open(path.as_str(), &read(name)?, &secrets)?;
        let meta = std::fs::metadata(&path)?;
        let text = in_editor(&path, &opened.plain)?;
        if text != opened.plain {
            write(name, encrypt(&text, (&opened.id, &opened.secret)).as_bytes(), Some(&meta))?;
        }
    }
    Ok(())
}

/// Lets the user edit the text in a file that only the user can read.
fn in_editor(path: &Utf8Path, text: &[u8]) -> Result<Vec<u8>> {
    let dir = tempfile::Builder::new().prefix("dirigo-vault-").tempdir()?;
    let extension = path.extension().map(|e| format!(".{e}")).unwrap_or_default();
    let mut file = tempfile::Builder::new().suffix(&extension).tempfile_in(dir.path())?;
    file.write_all(text)?;
    file.flush()?;
    let set = crate::settings::current().get("EDITOR").transpose()?.map(|f| f.value.to_str());
    let editor = set.filter(|e| !e.trim().is_empty()).unwrap_or_else(|| "vi".into());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let failed = |why: String| Error::general(format!("Unable to execute the command \"{editor}\": {why}"));
    let status =
        std::process::Command::new(program).args(words).arg(file.path()).status().map_err(|e| failed(e.to_string()))?;
    if !status.success() {
        return Err(failed(status.to_string()));
    }
    // Read by name: many editors put a new file in the place of the old one.
    Ok(std::fs::read(file.path())?)
}

/// One string to encrypt: text, name, where it came from.
struct Item {
    text: Vec<u8>,
    name: Option<String>,
    from: &'static str,
}

fn strings(s: &Strings, config: &Config) -> Result<()> {
    let dash = s.strings.iter().any(|a| a == "-");
    let read_stdin = dash || s.stdin_name.is_some() || (s.strings.is_empty() && !s.prompt);
    if s.prompt && dash {
        return Err(Error::options("The --prompt option is not supported if also reading input from stdin"));
    }
    one_output(&s.output, &s.strings)?;
    let (id, secret) = new_or_given(&s.sealing.common, &s.sealing.identity, config)?;
    let mut items = Vec::new();
    if s.prompt {
        let name = Some(ask("Variable name (enter for no name): ", false)?).filter(|n| !n.is_empty());
        let text =
            if s.show_input { ask("String to encrypt: ", false)? } else { ask_secret("String to encrypt (hidden): ")? };
        items.push(Item { text: text.into_bytes(), name, from: "the interactive prompt" });
    }
    if read_stdin {
        if std::io::stdin().is_terminal() {
            eprintln!(
                "Reading plaintext input from stdin. (ctrl-d to end input, twice if your content does not already have a newline)"
            );
        }
        let text = read("-")?;
        if text.is_empty() {
            return Err(Error::options("stdin was empty, not encrypting"));
        }
        items.push(Item { text, name: s.stdin_name.clone(), from: "stdin" });
    }
    let args: Vec<&String> = s.strings.iter().filter(|a| *a != "-").collect();
    let mut names: Vec<String> = s.names.clone();
    // A lone string on standard input takes its name from --name too.
    if read_stdin && args.is_empty() && s.stdin_name.is_none() && !names.is_empty() {
        items.iter_mut().for_each(|i| i.name = names.first().cloned());
        names.clear();
    }
    if let Some(last) = names.last().filter(|_| args.len() > names.len()) {
        eprintln!("The number of --name options do not match the number of args.");
        eprintln!("The last named variable will be \"{last}\". The rest will not have names.");
    }
    let mut names = names.into_iter();
    for a in args {
        items.push(Item { text: a.clone().into_bytes(), name: names.next(), from: "the command line args" });
    }
    if let Some(i) = items.iter().find(|i| i.text.is_empty()) {
        return Err(Error::options(format!("The plaintext provided from {} was empty, not encrypting", i.from)));
    }
    let mut out = Vec::new();
    for (n, i) in items.iter().enumerate() {
        if items.len() > 1 {
            match &i.name {
                Some(name) => eprintln!(
                    "# The encrypted version of variable (\"{name}\", the string #{} from {}).",
                    n + 1,
                    i.from
                ),
                None => eprintln!("# The encrypted version of the string #{} from {}.)", n + 1, i.from),
            }
        }
        let head = i.name.as_ref().map(|n| format!("{n}: ")).unwrap_or_default();
        let body: Vec<String> = encrypt(&i.text, (&id, &secret)).lines().map(|l| format!("          {l}")).collect();
        out.push(format!("{head}!vault |\n{}\n", body.join("\n")));
    }
    write(s.output.as_deref().unwrap_or("-"), out.concat().as_bytes(), None)?;
    if std::io::stdout().is_terminal() {
        eprintln!("Encryption successful");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
