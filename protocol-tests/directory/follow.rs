//! What of a directory is read again when it has changed.

use super::*;

#[test]
fn exactly_what_changed_is_read_again() {
    let Some(mut slapd) = start("exactly_what_changed_is_read_again", Setup::default()) else { return };
    let settings = slapd.settings(Cover::StartTls);
    let whole = read(&settings, None).unwrap();
    let nothing = read(&settings, Some(&whole)).unwrap();
    assert!(nothing.people.is_empty() && nothing.groups.is_empty() && nothing.next.is_some());
    assert_eq!(nothing.gone, Gone::These([].into()));

    slapd.set(&person(7), "title", "Director");
    slapd.delete(&person(8));
    let delta = read(&settings, Some(&nothing)).unwrap();
    assert_eq!((delta.people.len(), delta.groups.len()), (1, 0));
    assert_eq!((delta.people[0].name.as_str(), delta.people[0].title.as_str()), ("u7", "Director"));
    assert_eq!(delta.gone, Gone::These([id_of(&whole, "u8")].into()));

    // A rename keeps the id; who leaves the filter is gone; a group is a change too.
    slapd.rename(&person(9), "uid=nine");
    slapd.change(&format!(
        "dn: {}\nchangetype: modify\nreplace: objectClass\nobjectClass: inetOrgPerson\n-\nreplace: sn\nsn: Renamed\n",
        person(10)
    ));
    slapd.set(&format!("cn=unix,ou=groups,{BASE}"), "memberUid", "u3");
    let delta = read(&settings, Some(&delta)).unwrap();
    let nine = delta.people.iter().find(|found| found.name == "nine").unwrap();
    assert_eq!(nine.id, id_of(&whole, "u9"));
    assert_eq!((delta.people.len(), delta.groups.len()), (2, 1));
    assert_eq!(delta.groups[0].members, [Member::UserName("u3".into())]);
    assert_eq!(delta.gone, Gone::These([].into()));

    // A restart loses nothing.
    slapd.set(&person(11), "title", "Before");
    slapd.stop();
    assert!(matches!(read(&settings, Some(&delta)), Err(DirectoryError::Unreachable(_))));
    slapd.start();
    slapd.set(&person(12), "title", "After");
    let delta = read(&settings, Some(&delta)).unwrap();
    let mut names: Vec<&str> = delta.people.iter().map(|person| person.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["u11", "u12"]);
    slapd.delete(&person(13));
    slapd.stop();
    slapd.start();
    // slapd's session log is in memory: now it names who is there instead of who went.
    let after = read(&settings, Some(&delta)).unwrap();
    assert_is_gone(&after, &id_of(&whole, "u13"), &id_of(&whole, "u14"));
}

fn assert_is_gone(reading: &Reading, gone: &str, there: &str) {
    match &reading.gone {
        Gone::These(these) => assert!(these.contains(gone) && !these.contains(there)),
        Gone::AllBut(present) => assert!(!present.contains(gone) && present.contains(there)),
    }
}

#[test]
fn without_a_session_log_the_present_are_named() {
    let setup = Setup { session_log: false, ..Setup::default() };
    let Some(slapd) = start("without_a_session_log_the_present_are_named", setup) else { return };
    let settings = slapd.settings(Cover::Clear);
    let whole = read(&settings, None).unwrap();
    slapd.set(&person(7), "title", "Director");
    slapd.delete(&person(8));
    let delta = read(&settings, Some(&whole)).unwrap();
    assert_eq!(delta.people.len(), 1);
    let Gone::AllBut(present) = &delta.gone else { panic!("{:?}", delta.gone) };
    assert_eq!(present.len(), 1200 + 6, "all but one, and the one without a name");
    assert!(!present.contains(&id_of(&whole, "u8")));
}

#[test]
fn without_synchronisation_times_and_ids_tell() {
    let setup = Setup { sync: false, ..Setup::default() };
    let Some(slapd) = start("without_synchronisation_times_and_ids_tell", setup) else { return };
    let settings = slapd.settings(Cover::Clear);
    let whole = read(&settings, None).unwrap();
    assert_whole(&whole, 1200);
    // Times count whole seconds: that in which everything was loaded must be over.
    let mut loading = 0..1_000;
    let whole = loop {
        slapd.set(&person(10), "title", &format!("Number {:?}", loading.next().unwrap()));
        let whole = read(&settings, None).unwrap();
        if read(&settings, Some(&whole)).unwrap().people.len() < 10 {
            break whole;
        }
    };
    slapd.set(&person(7), "title", "Director");
    slapd.delete(&person(8));
    let delta = read(&settings, Some(&whole)).unwrap();
    assert!(delta.people.iter().any(|person| person.name == "u7" && person.title == "Director"));
    let Gone::AllBut(present) = &delta.gone else { panic!("{:?}", delta.gone) };
    assert_eq!(present.len(), 1200 + 6);
    assert!(!present.contains(&id_of(&whole, "u8")));
    // What was loaded in one second is read again with the newest of it, and never less.
    slapd.set(&person(9), "title", "Later");
    let delta = read(&settings, Some(&delta)).unwrap();
    assert!(delta.people.iter().any(|person| person.name == "u9"));
    assert!(delta.people.len() <= 3, "{}", delta.people.len());
}

#[test]
fn marks_that_do_not_fit_begin_anew() {
    let Some(slapd) = start("marks_that_do_not_fit_begin_anew", Setup::default()) else { return };
    let settings = slapd.settings(Cover::Clear);
    let whole = read(&settings, None).unwrap();
    // Of another configuration, and nonsense.
    let narrow = Settings {
        users: Scope { filter: "(uid=u1*)".into(), ..settings.users.clone() },
        ..settings.clone()
    };
    assert_eq!(read(&narrow, Some(&whole)).unwrap().people.len(), 311);
    let nonsense = Reading { next: Some(b"nonsense".to_vec()), ..Reading::default() };
    assert_whole(&read(&settings, Some(&nonsense)).unwrap(), 1200);
    // Ahead of the directory, which was restored from a copy: its cookie is turned down.
    let setup = Setup { people: 20, ..Setup::default() };
    let Some(mut other) = start("", setup) else { return };
    let settings = other.settings(Cover::Clear);
    let before = read(&settings, None).unwrap();
    let future = {
        let mut bytes = before.next.clone().unwrap();
        let text = b"csn=20";
        let places: Vec<usize> =
            (0..bytes.len() - text.len()).filter(|at| bytes[*at..].starts_with(text)).collect();
        assert_eq!(places.len(), 2, "a cookie for people, one for groups");
        places.into_iter().for_each(|at| bytes[at + 4] = b'3');
        Reading { next: Some(bytes), ..Reading::default() }
    };
    let read_again = read(&settings, Some(&future)).unwrap();
    assert_eq!((read_again.people.len(), read_again.groups.len()), (20, 6));
    assert!(matches!(read_again.gone, Gone::AllBut(_)));
    other.stop();
}
