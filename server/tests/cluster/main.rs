//! The link to a NATS cluster: with nats-server as its hub in four versions, of 2.9 (Debian), 2.10,
//! 2.12 and 2.15, and with a hub of the test's own where bytes matter.
//!
//! What nats-server's own tests of leaf nodes ask for, and who asks here:
//!
//! | `TestLeafNode...` | here |
//! |---|---|
//! | `Loop` | `fake::our_own_loop_subject` |
//! | `LoopDetectionOnActualLoop` | `several::two_links_into_one_cluster` |
//! | `LoopDetectedDueToReconnect` | `trouble::a_hub_that_was_killed` |
//! | `BasicAuthSingleton`, `MinVersion` | `trouble::a_wrong_password`, `a_hub_that_wants_a_later` |
//! | `OperatorAndPermissions` | `secure::a_user_of_an_operator` |
//! | `LMsgSplit` | `meaning::a_large_message`, and the fuzzer of the codec |
//! | `RouteParseLSUnsub` | `meaning::interest_comes_and_goes` |
//! | `DuplicateMsg` | `meaning::a_message_for_many`, `exactness` |
//! | `QueueGroupDistribution` | `meaning::a_group_over_there`, `the_hub_serves` |
//! | `...WithDaisyChainAndGateway` | `meaning::a_super_cluster` |
//! | `PermissionWithLiteralSubjectAndQueueInterest` | `fake::nothing_comes_before_connect` |
//! | `LMSGHonorsPublishPermissions`, `...ImportPermissions` | `trouble::what_is_forbidden` |
//! | `ExportPermissionsNotForSpecialSubs` | `fake::an_answer_to_another_cluster` |
//! | `HubSideLMSGAllowsJSAPI` | `streams` |

mod exactness;
mod fake;
mod joined;
mod meaning;
mod operator;
mod secure;
mod several;
mod streams;
mod trouble;

/// The binary under test.
const FANFARE: &str = env!("CARGO_BIN_EXE_fanfare");

/// Makes a test of each case for each line of nats-server; of those behind `since 2.10` for all but
/// Debian's, which is of 2.9.
macro_rules! with_hubs {
    ($($case:ident),* $(,)? $(; since 2.10: $($late:ident),* $(,)?)?) => {
        crate::with_hub!(v2_9, testkit::tools::nats_server(), $($case),*);
        crate::with_hub!(v2_10, testkit::tools::nats_server_of("2.10"), $($case,)* $($($late),*)?);
        crate::with_hub!(v2_12, testkit::tools::nats_server_of("2.12"), $($case,)* $($($late),*)?);
        crate::with_hub!(v2_15, testkit::tools::nats_server_of("2.15"), $($case,)* $($($late),*)?);
    };
}
pub(crate) use with_hubs;

macro_rules! with_hub {
    ($line:ident, $program:expr, $($case:ident),* $(,)?) => {
        mod $line {
            $(#[test]
            fn $case() {
                if let Some(program) = $program {
                    super::$case(&program);
                }
            })*
        }
    };
}
pub(crate) use with_hub;
