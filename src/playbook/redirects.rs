//! Short names of modules that moved into collections: `mysql_db` is `community.mysql.mysql_db` in ansible-core 2.19
//! where nothing nearer has that name.

use std::collections::HashMap;
use std::sync::OnceLock;

/// One collection a paragraph: `COLLECTION: NAME NAME=OTHER …`, lines that go on begin with a space.
const TABLE: &str = include_str!("redirects.txt");

/// Lookups that moved, too, and are not built in here.
const LOOKUPS: &[(&str, &str)] = &[
    ("amazon.aws", "aws_account_attribute aws_secret aws_service_ip_ranges aws_ssm"),
    (
        "community.general",
        "chef_databag consul_kv credstash cyberarkpassword dig dnstxt etcd filetree hiera keyring lastpass lmdb_kv \
         manifold nios nios_next_ip nios_next_network onepassword onepassword_raw passwordstore redis shelvefile",
    ),
    ("community.google", "gcp_storage_file"),
    ("community.grafana", "grafana_dashboard"),
    ("community.hashi_vault", "hashi_vault"),
    ("community.mongodb", "mongodb"),
    ("community.rabbitmq", "rabbitmq"),
    ("community.windows", "laps_password"),
    ("cyberark.conjur", "conjur_variable"),
    ("kubernetes.core", "k8s openshift"),
];

/// The full name that ansible-core takes a lookup's short name for; a full name of a collection as it is.
pub fn redirected_lookup(name: &str) -> Option<String> {
    if name.splitn(3, '.').count() == 3 {
        return Some(name.to_string());
    }
    let (collection, _) = LOOKUPS.iter().find(|(_, names)| names.split_whitespace().any(|n| n == name))?;
    Some(format!("{collection}.{name}"))
}

/// The full name that ansible-core takes a module's short name for.
pub fn redirected(short: &str) -> Option<String> {
    static NAMES: OnceLock<HashMap<&str, (&str, &str)>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        let mut out = HashMap::new();
        let mut collection = "";
        for line in TABLE.lines().filter(|l| !l.starts_with('#')) {
            let mut rest = line;
            if let Some((head, tail)) = line.split_once(':') {
                (collection, rest) = (head, tail);
            }
            for word in rest.split_whitespace() {
                let (name, there) = word.split_once('=').unwrap_or((word, word));
                out.insert(name, (collection, there));
            }
        }
        out
    });
    names.get(short).map(|(collection, name)| format!("{collection}.{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(redirected("mysql_db").as_deref(), Some("community.mysql.mysql_db"));
        // in the second line of its collection
        assert_eq!(redirected("s3_bucket").as_deref(), Some("amazon.aws.s3_bucket"));
        // another name there
        assert_eq!(redirected("openssl_certificate").as_deref(), Some("community.crypto.x509_certificate"));
        assert_eq!(redirected("copy"), None);
        assert_eq!(redirected("amazon.aws:"), None);
        assert_eq!(redirected_lookup("hiera").as_deref(), Some("community.general.hiera"));
        assert_eq!(redirected_lookup("a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(redirected_lookup("items"), None);
    }
}
