//! The ids of effects.

use std::collections::HashSet;

use uuid::Uuid;

use super::super::*;

fn opening(time: u128, rest: u128) -> OpeningId {
    OpeningId(Uuid::from_u128((time << 80) | (7 << 76) | (2 << 62) | rest))
}

/// G3, P9: the same forever. A changed value would give every pending effect a new Idempotency-Key.
#[test]
fn an_effect_has_the_id_that_it_had_in_the_version_before() {
    let id = opening(0x0199_0000_0001, 5).effect("create_profile");
    assert_eq!(id.to_string(), "01990000-0001-8955-afd9-f8bfa110a986");
}

#[test]
fn effects_of_other_names_and_of_other_openings_have_other_ids() {
    let names = ["create_profile", "submit_request", "account_opening.started", "account_opening.contradiction/1", ""];
    let openings = [opening(1, 1), opening(1, 2), opening(2, 1)];
    let ids: HashSet<Uuid> = openings.iter().flat_map(|it| names.map(|name| it.effect(name))).collect();
    assert_eq!(ids.len(), names.len() * openings.len());
}

/// For lists and archives: sorted by the start of their opening.
#[test]
fn ids_of_effects_sort_by_the_time_of_their_opening_and_are_uuids_of_our_own_making() {
    let (earlier, later) = (opening(1, u128::from(u32::MAX)), opening(2, 0));
    for name in ["issue_card", "account_opening.completed"] {
        assert!(earlier.effect(name) < later.effect(name));
        assert_eq!(later.effect(name).get_version(), Some(uuid::Version::Custom));
        assert_eq!(later.effect(name).get_variant(), uuid::Variant::RFC4122);
    }
}
