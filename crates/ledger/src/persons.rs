//! n8n's users, as far as they have signed in: with which account, and where they are at home.

use std::hash::RandomState;

use gateway_policy::Timestamp;
use lru::LruCache;

use crate::{Account, Change, LATELY, known::CLIENTS, trail::PLACES};

/// One of n8n's users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The account that they have last signed in with.
    pub account: Option<Account>,
    /// The networks that they have signed in from, and when last: the last one first.
    pub homes: Vec<(String, Timestamp)>,
}

/// Users, by n8n's own ids.
#[derive(Debug)]
pub(crate) struct Persons(LruCache<String, Person, RandomState>);

impl Default for Persons {
    fn default() -> Self {
        Self(LruCache::unbounded_with_hasher(RandomState::new()))
    }
}

impl Persons {
    pub(crate) fn get(&self, user: &str) -> Option<&Person> {
        self.0.peek(user)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Person)> {
        self.0.iter()
    }

    /// Takes down that n8n calls the holder of `account` `user`; gives back what has changed.
    pub(crate) fn is_user(&mut self, user: &str, account: Account) -> Vec<Change> {
        self.change(user, |person| {
            let other = person.account != Some(account);
            person.account = Some(account);
            other
        })
    }

    /// Takes down that `user` has signed in from `place`; gives back what has changed.
    pub(crate) fn signed_in(&mut self, user: &str, place: &str, at: Timestamp) -> Vec<Change> {
        self.change(user, |person| {
            person.homes.retain(|(it, _)| it != place);
            person.homes.insert(0, (place.to_owned(), at));
            person.homes.truncate(PLACES);
            true
        })
    }

    /// Where `user` has signed in lately, the last place first.
    pub(crate) fn homes(&self, user: &str, now: Timestamp) -> Vec<String> {
        let homes = self.get(user).into_iter().flat_map(|it| &it.homes);
        homes.filter(|(_, at)| now.since(*at) < LATELY).map(|(place, _)| place.clone()).collect()
    }

    /// Forgets where they are at home: `user`, or everybody.
    pub(crate) fn uproot(&mut self, user: Option<&str>) -> Vec<Change> {
        let mut changes = Vec::new();
        for (name, person) in self.0.iter_mut() {
            if user.is_none_or(|user| user == name) && !person.homes.is_empty() {
                person.homes.clear();
                changes.push(Change::Person(name.clone(), Some(person.clone())));
            }
        }
        changes
    }

    fn change(&mut self, user: &str, change: impl FnOnce(&mut Person) -> bool) -> Vec<Change> {
        let person = self.0.get_or_insert_mut(user.to_owned(), Person::default);
        if !change(person) {
            return Vec::new();
        }
        let changed = Change::Person(user.to_owned(), Some(person.clone()));
        std::iter::once(changed).chain(self.make_room()).collect()
    }

    /// Takes over what was kept, unless something newer is there; gives back whom it made forgotten.
    pub(crate) fn restore(&mut self, user: String, person: Person) -> Option<Change> {
        if self.0.contains(&user) {
            return None;
        }
        self.0.put(user, person);
        self.make_room()
    }

    fn make_room(&mut self) -> Option<Change> {
        let full = self.0.len() > CLIENTS;
        let gone = if full { self.0.pop_lru() } else { None };
        gone.map(|(user, _)| Change::Person(user, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_at_home_where_they_have_signed_in_lately() {
        let mut persons = Persons::default();
        let month = i64::try_from(LATELY.as_secs()).unwrap();
        for (place, at) in [("v4", 0), ("v6", 10), ("v4", 20)] {
            assert_eq!(persons.signed_in("u", place, Timestamp(at)).len(), 1);
        }
        let homes = |it: &Persons, at| it.homes("u", Timestamp(at));
        assert_eq!(homes(&persons, 30), ["v4", "v6"]);
        assert_eq!(homes(&persons, month + 10), ["v4"]);
        assert!(persons.homes("v", Timestamp(30)).is_empty());
        assert_eq!(persons.is_user("u", Account(7)).len(), 1);
        assert!(persons.is_user("u", Account(7)).is_empty(), "as before");
        assert_eq!(persons.get("u").unwrap().homes.len(), 2);
        assert!(persons.uproot(Some("v")).is_empty());
        assert_eq!(persons.uproot(None).len(), 1);
        assert!(homes(&persons, 30).is_empty());
        assert_eq!(persons.get("u").unwrap().account, Some(Account(7)));
    }

    #[test]
    fn persons_and_their_places_are_bounded() {
        let mut persons = Persons::default();
        for n in 0..100 {
            persons.signed_in("u", &n.to_string(), Timestamp(n));
        }
        assert_eq!(persons.homes("u", Timestamp(100)).len(), PLACES);
        for n in 0..CLIENTS + 10 {
            persons.is_user(&n.to_string(), Account(1));
        }
        assert_eq!(persons.iter().count(), CLIENTS);
        assert!(persons.restore("new".to_owned(), Person::default()).is_some());
    }
}
