use std::net::IpAddr;

use gateway_policy::Window;

use super::*;

fn all() -> Vec<Change> {
    let note = Note {
        at: Timestamp(7),
        offence: Offence::WrongPassword,
        surface: Some(Surface::SignIn),
        request: u64::MAX,
        account: Some(u64::MAX - 1),
    };
    let net: IpNet = "2001:db8::/64".parse().unwrap();
    let ban = Ban {
        jail: Jail::Recidive,
        because: Jail::SignIn,
        since: Timestamp(8),
        until: Timestamp(9),
        nth: 3,
        notes: vec![note],
        dry_run: false,
    };
    let by_hand = Some(ByHand { who: "me".to_owned(), why: "it's \"so\"".to_owned() });
    let client: IpAddr = "2001:db8::".parse().unwrap();
    let began = [Timestamp(1), Timestamp(8)].into();
    let past = Past { count: 3, began, ends: Timestamp(9) };
    let address = "2001:db8::7".parse().unwrap();
    let visitor = Visitor { address, at: Timestamp(5), accounts: vec![Account(u64::MAX)] };
    let webhook = Webhook {
        first: 1,
        last: 2,
        calls: u64::MAX,
        answers: [0, 1, 2, 3, 4],
        networks: vec!["192.0.2.0/24".parse().unwrap()],
        signed: true,
    };
    let (by, why) = ("uid 0".to_owned(), "on the road".to_owned());
    let (until, surface) = (Timestamp(9), Surface::Editor);
    let window = Window { id: 3, surface, net, until, by, why };
    vec![
        Change::Ban(net, Some(Banned { net, ban, by_hand })),
        Change::Past(net, Some(past)),
        Change::Visitor(client, Some(visitor)),
        Change::Webhook("/webhook/orders".to_owned(), Some(webhook)),
        Change::Message(("webhook/orders".into(), [7; 16]), Some(Timestamp(9))),
        Change::Window(3, Some(window)),
    ]
}

#[test]
fn what_is_written_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    Sqlite::in_folder(folder.path()).write(&all()).unwrap();
    let mut again = Sqlite::in_folder(folder.path());
    assert_eq!(again.load().unwrap(), all());
    let gone = all().into_iter().map(|change| match change {
        Change::Ban(net, _) => Change::Ban(net, None),
        Change::Past(client, _) => Change::Past(client, None),
        Change::Visitor(client, _) => Change::Visitor(client, None),
        Change::Webhook(path, _) => Change::Webhook(path, None),
        Change::Message(message, _) => Change::Message(message, None),
        Change::Window(id, _) => Change::Window(id, None),
        other @ (Change::Session(..)
        | Change::Ended(..)
        | Change::Person(..)
        | Change::ApiKey(..)) => other,
    });
    again.write(&gone.collect::<Vec<_>>()).unwrap();
    assert_eq!(again.load().unwrap(), []);
}

#[test]
fn notes_outlive_a_ban_that_is_written_without_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Sqlite::in_folder(folder.path());
    store.write(&all()).unwrap();
    let Some(Change::Ban(net, Some(first))) = all().into_iter().next() else { panic!() };
    let forgotten = |step, longer| {
        let mut banned = first.clone();
        banned.ban.notes.clear();
        banned.ban.since = Timestamp(banned.ban.since.0 + step);
        banned.ban.until = Timestamp(banned.ban.until.0 + step + longer);
        Change::Ban(net, Some(banned))
    };
    let notes = |store: &mut Sqlite| match store.load().unwrap().remove(0) {
        Change::Ban(_, Some(banned)) => (banned.ban.since.0, banned.ban.notes.len()),
        other => panic!("{other:?}"),
    };
    store.write(&[forgotten(100, 0)]).unwrap();
    assert_eq!(notes(&mut store), (108, 1), "a clock was set");
    store.write(&[forgotten(100, 5)]).unwrap();
    assert_eq!(notes(&mut store), (108, 0), "another ban");
}

#[test]
fn a_broken_file_is_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    fs::write(&path, vec![b'x'; 5000]).unwrap();
    let mut store = Sqlite::in_folder(folder.path());
    assert_eq!(store.load().unwrap(), []);
    assert!(folder.path().join("state.db.broken0").exists());
    store.write(&all()).unwrap();
    assert_eq!(store.load().unwrap(), all());
    // While it runs, whoever writes is told that everything has to be written again.
    drop(store);
    fs::write(&path, vec![b'y'; 5000]).unwrap();
    let mut store = Sqlite::in_folder(folder.path());
    assert!(store.write(&all()).unwrap_err().is_lost());
    assert!(folder.path().join("state.db.broken1").exists());
    store.write(&all()).unwrap();
}

#[test]
fn a_file_is_read_without_writing_and_one_of_a_later_form_is_left_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    assert_eq!(Sqlite::in_folder(folder.path()).load().unwrap(), []);
    assert!(!path.exists(), "reading makes nothing");
    Sqlite::in_folder(folder.path()).write(&all()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    let before = fs::read(&path).unwrap();
    assert_eq!(Sqlite::in_folder(folder.path()).load().unwrap(), all());
    assert_eq!(fs::read(&path).unwrap(), before);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 9).unwrap();
    let mut store = Sqlite::in_folder(folder.path());
    assert!(store.load().is_err() && store.write(&all()).is_err());
    assert!(path.exists());
}

#[test]
fn a_folder_that_cannot_be_had_is_an_error_and_no_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "").unwrap();
    let mut store = Sqlite::in_folder(&path);
    assert!(store.write(&all()).is_err());
    fs::remove_file(&path).unwrap();
    store.write(&all()).unwrap();
    assert_eq!(store.load().unwrap(), all());
}
