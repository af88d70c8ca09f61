//! `etcdctl`: members, health and snapshots of an etcd cluster, by way of the real etcdctl.
//!
//! Behaviour of the program after <https://etcd.io/docs/v3.4/op-guide/runtime-configuration/> and observed
//! with etcd 3.4: ids in JSON are decimals beyond 2^53, the exit code of `endpoint health` is 1 as soon as
//! one member is down, and a second removal of a member is an error there (here it is `ok`).

mod client;
mod members;
mod snapshot;

use super::{Arg, Args, Ctx, Failure, ModResult, Module, Outcome, Spec, Support, Type};
use client::Client;

pub fn module() -> Module {
    Module {
        name: "etcdctl",
        collection: "dirigo.cluster",
        spec: Spec::new(vec![
            Arg::str("command").choices(&["health", "status", "member_list", "snapshot_status"]).doc("What to read; never changes anything, and runs in check mode too."),
            Arg::str("state").choices(&["present", "absent", "updated", "saved", "restored"]).doc("What shall be: of a member (present, absent, updated) or a snapshot (saved, restored)."),
            Arg::str("name").doc("Name of the member."),
            Arg::list("peer_urls", Type::Str).aliases(&["peer_url"]).doc("Peer URLs of the member; any of them identifies it."),
            Arg::list("endpoints", Type::Str).doc("Client URLs to ask."),
            Arg::path("manifest").doc("A static pod manifest of etcd: its client URL is the endpoint."),
            Arg::path("env_file").doc("An etcd.conf: ETCD_ADVERTISE_CLIENT_URLS is the endpoint. With manifest, read where the manifest sources it."),
            Arg::path("cacert").doc("Certificate of the authority."),
            Arg::path("cert").doc("Client certificate."),
            Arg::path("key").doc("Key of the client certificate."),
            Arg::int("api").default(3).doc("API version, 3 or 2."),
            Arg::int("timeout").default(10).doc("Seconds for one command."),
            Arg::bool("force").default(false).doc("Remove a member although quorum or health speak against it."),
            Arg::path("etcdctl_path").default("etcdctl").doc("The program."),
            Arg::path("snapshot").doc("File of the snapshot."),
            Arg::path("data_dir").doc("Data directory, of a restore or a v2 backup."),
            Arg::path("backup_dir").doc("Where `etcdctl backup` (API 2) puts the v2 store; its member/ directory is what makes it done."),
            Arg::str("initial_cluster").doc("For a restore: members of the new cluster."),
            Arg::list("initial_advertise_peer_urls", Type::Str).doc("For a restore: peer URLs of this member."),
        ])
        .exclusive(&["command", "state"])
        .exclusive(&["command", "backup_dir"])
        .exclusive(&["state", "backup_dir"])
        .one_of(&["command", "state", "backup_dir"])
        .together(&["cert", "key"])
        .required_by("backup_dir", &["data_dir"])
        .required_if("state", "saved", &["snapshot"])
        .required_if("state", "restored", &["snapshot", "data_dir"])
        .required_if("state", "updated", &["name", "peer_urls"])
        .required_if("state", "present", &["name", "peer_urls"])
        .required_if("command", "snapshot_status", &["snapshot"]),
        check: Support::Full,
        diff: Support::Full,
        free_form: false,
        doc: "Read and change an etcd cluster.\n\nA member is never removed if that would leave fewer healthy members than the quorum of the smaller cluster, or while another member is not healthy (unless force is set). Removing a member that is not there is ok.",
        run,
    }
}

fn run(ctx: &mut Ctx, a: &Args) -> ModResult {
    if !matches!(a.int("api"), 2 | 3) {
        return Err(Failure::new(format!("api must be 2 or 3, not {}", a.int("api"))));
    }
    if a.is_set("backup_dir") {
        return snapshot::v2_backup(ctx, a);
    }
    match (a.opt_str("command"), a.opt_str("state")) {
        (Some("snapshot_status"), _) => snapshot::status(ctx, a),
        (Some("status"), _) => {
            let c = Client::new(ctx, a)?;
            let list = members::with_health(&c)?;
            Ok(members::report(&list).set("status", c.status(&members::client_urls(&list))))
        }
        (Some(_), _) => {
            let c = Client::new(ctx, a)?;
            Ok(members::report(&members::with_health(&c)?))
        }
        (_, Some("saved")) => snapshot::save(ctx, a),
        (_, Some("restored")) => snapshot::restore(ctx, a),
        (_, Some("absent")) => members::absent(ctx, a),
        (_, Some("updated")) => members::updated(ctx, a),
        (_, Some("present")) => members::present(ctx, a),
        _ => Ok(Outcome::ok()),
    }
}
