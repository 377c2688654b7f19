//! Principals and the acts that their roles allow.
//!
//! An act takes the proof of its least role as an argument, and only a principal with that role can make the proof. So no REST
//! handler, page or test can act without the role.

use std::sync::Arc;

use crate::config::{Role, Token};

/// The holder of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The token's name: it stands in logs and in the record of acts.
    name: Arc<str>,
    role: Role,
}

impl Principal {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }
}

impl From<&Token> for Principal {
    fn from(token: &Token) -> Self {
        Self { name: token.name.as_str().into(), role: token.role }
    }
}

/// The principal's role is too low.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the role does not allow this")]
pub struct Forbidden;

macro_rules! proof {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(Principal);

        impl $name {
            /// The name of the token.
            #[must_use]
            pub fn name(&self) -> Arc<str> {
                Arc::clone(&self.0.name)
            }
        }

        impl TryFrom<Principal> for $name {
            type Error = Forbidden;

            fn try_from(principal: Principal) -> Result<Self, Forbidden> {
                if principal.role >= Role::$name { Ok(Self(principal)) } else { Err(Forbidden) }
            }
        }
    };
}

proof!(
    /// A principal that may start openings.
    Caller
);
proof!(
    /// A principal that may act on openings, cases, dead letters, breakers and refused webhooks.
    Operator
);
proof!(
    /// A principal that may set flags.
    Admin
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_all_that_those_before_it_may() {
        for (rank, role) in Role::ALL.iter().enumerate() {
            let principal = || Principal { name: "x".into(), role: *role };
            let proofs = [
                Caller::try_from(principal()).is_ok(),
                Operator::try_from(principal()).is_ok(),
                Admin::try_from(principal()).is_ok(),
            ];
            // Readers come first and may do none of them.
            assert_eq!(proofs, [rank >= 1, rank >= 2, rank >= 3], "{role}");
        }
    }
}
