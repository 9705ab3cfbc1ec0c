//! How the server is reached: `[server]` and `[tls]`.

use super::given::{address, duration, filled, number, path, public_url, switch};
use super::{Key, Shown};

pub(super) const KEYS: &[Key] = &[
    Key {
        section: "server",
        name: "listen",
        default: Shown::Is("\"127.0.0.1:8080\""),
        doc: "The address to listen on. Beyond loopback only with [tls], or with behind_proxy.",
        set: |c, v| address(v).map(|v| c.server.listen = v),
    },
    Key {
        section: "server",
        name: "data",
        default: Shown::Is("\"./data\""),
        doc: "The directory that holds everything. It is made, for its owner only, when it is missing.",
        set: |c, v| path(v).map(|v| c.server.data = v),
    },
    Key {
        section: "server",
        name: "behind_proxy",
        default: Shown::Is("false"),
        doc: "A reverse proxy stands in front, and only it can reach this server: Forwarded and\n\
              X-Forwarded-For, -Proto, -Host, -Prefix are believed.",
        set: |c, v| switch(v).map(|v| c.server.behind_proxy = v),
    },
    Key {
        section: "server",
        name: "public_url",
        default: Shown::Unset("\"https://contacts.example.org/\""),
        doc: "How clients reach this server, where the proxy does not say it. Counts with behind_proxy only.",
        set: |c, v| public_url(v).map(|v| c.server.public_url = Some(v)),
    },
    Key {
        section: "server",
        name: "metrics_token",
        default: Shown::Unset("\"a-long-random-text\""),
        doc: "Lets others than this machine read /metrics, with `Authorization: Bearer TOKEN`. A proxy on this\n\
              machine that sends no X-Forwarded-For reads it as this machine does.",
        set: |c, v| filled(v).map(|v| c.server.metrics_token = Some(v.to_owned())),
    },
    Key {
        section: "server",
        name: "request_timeout",
        default: Shown::Is("\"5m\""),
        doc: "The longest that a request may be worked on before it is answered with 503.",
        set: |c, v| duration(v).map(|v| c.server.request_timeout = v),
    },
    Key {
        section: "server",
        name: "header_timeout",
        default: Shown::Is("\"30s\""),
        doc: "The longest that a request's head may take to arrive.",
        set: |c, v| duration(v).map(|v| c.server.header_timeout = v),
    },
    Key {
        section: "server",
        name: "idle_timeout",
        default: Shown::Is("\"75s\""),
        doc: "How long a connection without requests, or a client that takes nothing of its answer, is kept.",
        set: |c, v| duration(v).map(|v| c.server.idle_timeout = v),
    },
    Key {
        section: "server",
        name: "drain_timeout",
        default: Shown::Is("\"30s\""),
        doc: "How long requests in flight may take to finish when the server is told to stop.",
        set: |c, v| duration(v).map(|v| c.server.drain_timeout = v),
    },
    Key {
        section: "server",
        name: "max_connections",
        default: Shown::Is("1024"),
        doc: "Connections served at once; further ones wait.",
        set: |c, v| number(v, 1, 1 << 20).map(|v| c.server.max_connections = v),
    },
    Key {
        section: "server",
        name: "max_requests",
        default: Shown::Is("256"),
        doc: "Requests worked on at once; further ones wait, then are answered with 503.",
        set: |c, v| number(v, 1, 1 << 16).map(|v| c.server.max_requests = v),
    },
    Key {
        section: "tls",
        name: "certificate",
        default: Shown::Unset("\"/etc/cardkeep/fullchain.pem\""),
        doc: "The certificate chain, PEM. With it, the server speaks TLS only. Read again on SIGHUP and when it changes.",
        set: |c, v| path(v).map(|v| c.tls.certificate = Some(v)),
    },
    Key {
        section: "tls",
        name: "key",
        default: Shown::Unset("\"/etc/cardkeep/privkey.pem\""),
        doc: "The certificate's private key, PEM.",
        set: |c, v| path(v).map(|v| c.tls.key = Some(v)),
    },
    Key {
        section: "tls",
        name: "handshake_timeout",
        default: Shown::Is("\"10s\""),
        doc: "The longest that a TLS handshake may take.",
        set: |c, v| duration(v).map(|v| c.tls.handshake_timeout = v),
    },
];
