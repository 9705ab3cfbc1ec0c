//! What the server keeps and tells: `[log]`, `[store]`, `[backup]` and `[privacy]`.

use super::given::{filled, format, level, master_key, number, path, switch};
use super::{Key, Shown};
use crate::config::secret::Secret;

pub(super) const KEYS: &[Key] = &[
    Key {
        section: "log",
        name: "format",
        default: Shown::Is("\"json\""),
        doc: "json (one object a line) or text. Log lines go to standard error and name no person.",
        set: |c, v| format(v).map(|v| c.log.format = v),
    },
    Key {
        section: "log",
        name: "level",
        default: Shown::Is("\"info\""),
        doc: "error, warn, info, debug or trace.",
        set: |c, v| level(v).map(|v| c.log.level = v),
    },
    Key {
        section: "log",
        name: "store_calls",
        default: Shown::Is("false"),
        doc: "Answers carry X-Cardkeep-Store-Calls, the number of store calls; for tests, since answers are then held back until they are whole.",
        set: |c, v| switch(v).map(|v| c.log.store_calls = v),
    },
    Key {
        section: "store",
        name: "cache",
        default: Shown::Is("25165824"),
        doc: "Bytes of the store that are kept in memory.",
        set: |c, v| number(v, 1 << 20, 1 << 40).map(|v| c.store.cache = v),
    },
    Key {
        section: "store",
        name: "master_key_file",
        default: Shown::Unset("\"/var/lib/cardkeep-key/master.key\""),
        doc: "The file with the master key, which opens the store: 64 hexadecimal digits, mode 0600, made at the\n\
              first start. Unset, it is beside the data directory: that path with `.key` at its end. Keep a copy\n\
              of it, apart from copies of the data.",
        set: |c, v| path(v).map(|v| c.store.master_key_file = Some(v)),
    },
    Key {
        section: "store",
        name: "master_key",
        default: Shown::Unset("\"64 hexadecimal digits\""),
        doc: "The master key itself, instead of a file; meant for the environment, CARDKEEP_STORE__MASTER_KEY.\n\
              `openssl rand -hex 32` makes one. A systemd credential named cardkeep-master-key takes the place of both.",
        set: |c, v| master_key(v).map(|v| c.store.master_key = Some(v)),
    },
    Key {
        section: "backup",
        name: "keyring",
        default: Shown::Unset("\"/var/lib/cardkeep-key/keyring\""),
        doc: "A keyring that the server writes again whenever something was erased, so that no backup opens it any\n\
              more. Like the master key, it does not belong among copies of the data.",
        set: |c, v| path(v).map(|v| c.backup.keyring = Some(v)),
    },
    Key {
        section: "backup",
        name: "passphrase",
        default: Shown::Unset("\"a-long-random-text\""),
        doc: "What keyrings are sealed with. Unset, whoever has a keyring can read the archives made before it.",
        set: |c, v| filled(v).map(|v| c.backup.passphrase = Some(Secret::new(v))),
    },
    Key {
        section: "privacy",
        name: "tombstone_days",
        default: Shown::Is("400"),
        doc: "For how many days the name of a removed card is kept, so that clients which were away hear of it.\n\
              Then it is destroyed, and a client that was away for longer lists the book anew.",
        set: |c, v| {
            c.privacy.tombstone_days = u32::try_from(number(v, 1, 36_500)?).unwrap_or(36_500);
            Ok(())
        },
    },
    Key {
        section: "privacy",
        name: "audit_days",
        default: Shown::Is("400"),
        doc: "For how many days it is kept who signed in from where, and who changed accounts, tokens and shares.",
        set: |c, v| {
            c.privacy.audit_days = u32::try_from(number(v, 1, 36_500)?).unwrap_or(36_500);
            Ok(())
        },
    },
];
