//! From the configuration to the directory that it names. Knows no LDAP.

use std::sync::Arc;

use crate::config::ldap::{LdapKind, LdapScheme};
use crate::config::{self, secret::Secret};
use crate::directory::{Address, Attributes, Cover, Field, Kind, Ldap, Scope, Settings};
use crate::service::directory::DirectoryPort;

/// The directory of the configuration, if it names one; the error says which key is wrong.
pub fn port(ldap: &config::ldap::Ldap) -> Result<Option<DirectoryPort>, String> {
    let ldap = settings(ldap).map(Ldap::new).transpose()?;
    Ok(ldap.map(|ldap| DirectoryPort(Arc::new(ldap))))
}

/// What the configuration says of a directory, if it names one.
pub fn settings(ldap: &config::ldap::Ldap) -> Option<Settings> {
    let url = ldap.url.as_ref()?;
    let kind = match ldap.kind {
        LdapKind::OpenLdap => Kind::OpenLdap,
        LdapKind::ActiveDirectory => Kind::ActiveDirectory,
    };
    let cover = match (url.scheme, ldap.start_tls) {
        (LdapScheme::Ldaps, _) => Cover::Tls,
        (_, true) => Cover::StartTls,
        (_, false) => Cover::Clear,
    };
    let address = match url.scheme {
        LdapScheme::Ldapi => Address::Socket(url.host.clone().into()),
        _ => Address::Network { host: url.host.clone(), port: url.port, cover },
    };
    let attributes = ldap.attributes.iter().fold(Attributes::of(kind), |attributes, (key, names)| {
        Field::named(key)
            .map_or_else(|| attributes.clone(), |field| attributes.clone().with(field, names.clone()))
    });
    let scope = |base: &String, filter: &Option<String>, default: &str| Scope {
        base: base.clone(),
        filter: filter.clone().unwrap_or_else(|| default.to_owned()),
    };
    let password = ldap.bind_password.as_ref().map(Secret::reveal).unwrap_or_default();
    Some(Settings {
        address,
        ca_file: ldap.ca_file.clone(),
        reader: ldap.bind_dn.as_ref().map(|dn| (dn.clone(), password.to_owned())),
        users: scope(ldap.user_base.as_ref()?, &ldap.user_filter, kind.user_filter()),
        groups: ldap.group_base.as_ref().map(|base| scope(base, &ldap.group_filter, kind.group_filter())),
        kind,
        attributes,
        timeout: ldap.timeout,
        page_size: ldap.page_size,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(given: &[(&str, &str)]) -> Option<Settings> {
        let environment: Vec<_> = [("USER_BASE", "ou=people")]
            .iter()
            .chain(given)
            .map(|(key, value)| (format!("CARDKEEP_LDAP__{key}"), (*value).to_owned()))
            .collect();
        settings(&config::Config::load(None, &environment).unwrap().ldap)
    }

    #[test]
    fn every_key_of_the_table_is_a_field() {
        for key in config::ldap::KEYS.iter().filter(|key| key.section == "ldap.attributes") {
            let variable = format!("ATTRIBUTES__{}", key.name.to_uppercase());
            let given = configured(&[("URL", "ldaps://h"), (&variable, "special")]).unwrap();
            let field = Field::named(key.name).unwrap();
            assert_eq!(given.attributes.get(field), ["special"], "{}", key.name);
        }
    }

    #[test]
    fn urls_decide_the_cover() {
        assert!(configured(&[]).is_none());
        let address = |given: &[(&str, &str)]| configured(given).unwrap().address;
        let network = |port, cover| Address::Network { host: "h".into(), port, cover };
        assert_eq!(address(&[("URL", "ldaps://h")]), network(636, Cover::Tls));
        assert_eq!(address(&[("URL", "ldap://h:1"), ("START_TLS", "true")]), network(1, Cover::StartTls));
        assert_eq!(address(&[("URL", "ldap://h"), ("ALLOW_CLEAR", "true")]), network(389, Cover::Clear));
        assert_eq!(address(&[("URL", "ldapi://%2Fs")]), Address::Socket("/s".into()));
        let active = configured(&[("URL", "ldaps://h"), ("KIND", "active-directory"), ("GROUP_BASE", "b")]);
        let active = active.unwrap();
        assert_eq!(active.attributes.get(Field::Name), ["sAMAccountName"]);
        assert_eq!(active.groups.unwrap().filter, "(objectClass=group)");
    }

    #[test]
    fn a_filter_that_is_none_is_named() {
        let mut ldap = config::ldap::Ldap { user_base: Some("b".into()), ..Default::default() };
        assert!(port(&ldap).unwrap().is_none());
        let given = [("CARDKEEP_LDAP__URL", "ldap://localhost"), ("CARDKEEP_LDAP__USER_BASE", "b")];
        let given: Vec<_> = given.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        ldap.url = config::Config::load(None, &given).unwrap().ldap.url;
        assert!(port(&ldap).unwrap().is_some());
        ldap.user_filter = Some("(uid=".into());
        assert!(port(&ldap).err().unwrap().starts_with("ldap.user_filter"));
    }
}
