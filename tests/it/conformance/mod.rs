//! The conformance kit: what every adapter must do, for any bank. One table of cases, run for each bank.
//!
//! A new adapter adds its bank to the simulated world, a description to `banks.rs`, and its name to the table below. Then it
//! starts from a list of failing tests. `journeys.rs` and `every_step/banks.rs` take the same descriptions.

pub mod banks;
mod cases;
mod events;
mod hanging;
mod on_behalf;
mod pages;
mod particular;
mod routes;
mod together;
mod tokens;

/// The cross product of banks and cases: a test each. The module that it is written in names the cases' module `cases`.
macro_rules! conforms {
    ([$($bank:ident),+], $cases:tt) => { $(crate::conformance::conforms!(@of $bank, $cases);)+ };
    (@of $bank:ident, [$($case:ident),+ $(,)?]) => {
        mod $bank {
            $(
                #[tokio::test]
                async fn $case() {
                    super::cases::$case(&crate::conformance::banks::$bank()).await;
                }
            )+
        }
    };
}
pub(crate) use conforms;

/// Each case for each bank.
mod table {
    use super::cases;

    super::conforms!(
        [nexusbank, solaris, airwallex, adyen],
        [
            a_clean_journey_ends_with_a_card,
            a_status_that_says_no_rejects_with_its_reason,
            a_lost_event_is_found_by_the_poll,
            a_lost_answer_to_a_submission_is_found_and_not_made_twice,
            an_answer_that_is_no_answer_is_found_and_not_made_twice,
            an_error_answer_although_the_account_exists_is_no_rejection,
            a_list_that_hangs_is_asked_again_and_nothing_is_made_twice,
            a_bank_that_was_away_is_asked_again_and_nothing_is_made_twice,
            an_event_that_comes_twice_is_one_row,
            an_event_after_the_end_changes_nothing,
            a_forged_event_is_refused_and_changes_nothing,
            a_word_that_is_not_known_is_recorded_and_not_guessed_at,
            a_completion_that_the_status_hides_is_asked_for_again_and_again,
            a_completion_after_the_deadline_is_asked_for_again_and_again,
            an_event_without_its_account_is_looked_up,
            the_sandbox_speaks_the_banks_language,
            a_market_that_the_bank_does_not_serve_is_refused_at_the_market,
            settings_as_a_panic_shows_them_name_no_secret,
        ]
    );
}
