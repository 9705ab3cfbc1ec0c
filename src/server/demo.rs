//! What `serve --demo` tells a person, below the line with the URL: who to be and how to connect.

/// The account and the way into it from the usual clients.
pub(super) const HOW_TO_CONNECT: &str = "\
Demo account: user name demo, password demo. Its address books are `contacts` and `team`,
its calendars `calendar`, `tasks`, `journal` and `birthdays`.
  iPhone, iPad  Settings > Apps > Contacts > Contacts Accounts > Add Account > Other > CardDAV:
                server, user name and password as above
  Android       DAVx5 > + > Login with URL and user name: the URL above
  Thunderbird   Address Book > New Address Book > Add CardDAV Address Book: user name demo,
                location the URL above; for calendars Calendar > New Calendar > On the Network
A demo listens on this machine only; a phone reaches it through a tunnel or a reverse proxy here.
";
