//! App passwords and API tokens, as the API and the command line make, list and end them. Their
//! secrets are told once and kept as hashes.

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::id::{AccountId, UserName};
use crate::domain::permission::{DAV_SCOPES, Permission, Permissions};
use crate::store::commit::{AccountOp, At, Expect, Fact, FactState, Op};
use crate::store::rows::{self, AccountRow, AppPasswordRow, Id};

use super::access::Caller;
use super::admin::{AdminAnswer, TokenRow, conflict, one_line, removal};
use super::people::outranked;
use super::refusal::{Fault, Refusal, Stop};
use super::sign_in::secret;
use super::{Answer, Service};

crate::hidden!(NewToken, TokenView, UsedView);

/// What a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// DAV: sent as the password of Basic.
    App,
    /// The API: sent as a bearer token.
    Api,
}

/// A token that is to be made.
pub struct NewToken {
    /// What it opens.
    pub kind: TokenKind,
    /// What it is for; none given is all of DAV, or all that the user may.
    pub scopes: Vec<String>,
    /// What is written on it.
    pub label: Option<String>,
    /// When it ends.
    pub expires: Option<Timestamp>,
}

/// A token as it is shown.
#[derive(Clone)]
pub struct TokenView {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub user: UserName,
    /// What it opens.
    pub kind: TokenKind,
    /// What it is for.
    pub scopes: Vec<String>,
    /// What is written on it.
    pub label: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// Its last use that is on record.
    pub used: Option<UsedView>,
    row: AppPasswordRow,
    owner: AccountRow,
}

/// A use of a token.
#[derive(Clone)]
pub struct UsedView {
    /// When.
    pub at: Timestamp,
    /// What the client calls itself.
    pub client: String,
    /// The client's address.
    pub address: String,
}

impl Service {
    /// The caller's tokens; everybody's with `users`.
    pub async fn tokens(&self, caller: &Caller) -> Answer<Vec<TokenView>> {
        // So that the list tells of the latest uses; without them it is a list all the same.
        let _ = self.flush_events().await;
        self.tokens_on_record(caller).await
    }

    async fn tokens_on_record(&self, caller: &Caller) -> Answer<Vec<TokenView>> {
        let all = caller.permissions.has(Permission::Users);
        let reader = self.store.read().await?;
        let of = (!all).then(|| caller.account.as_bytes());
        let tokens = reader.app_passwords(of).await?;
        let accounts = reader.accounts().await?;
        let owner = |token: &AppPasswordRow| accounts.iter().find(|account| account.id == token.account);
        Ok(tokens.into_iter().filter_map(|token| view(owner(&token)?.clone(), token)).collect())
    }

    /// One token that the caller may see.
    pub async fn token(&self, caller: &Caller, id: Uuid) -> Answer<TokenView> {
        let found = self.tokens_on_record(caller).await?.into_iter().find(|token| token.id == id);
        found.ok_or_else(|| Refusal::NotFound.into())
    }

    /// Makes a token for `user`, the caller where left out. The secret is told with it, this once.
    pub async fn create_token(
        &self,
        caller: &Caller,
        user: Option<&UserName>,
        new: NewToken,
    ) -> Answer<(TokenView, String)> {
        let user = user.unwrap_or(&caller.name);
        if *user != caller.name {
            caller.need(Permission::Users)?;
        }
        caller.need_scope(Permission::Users)?;
        let account = self.store.read().await?.account(user).await?;
        let account = account.ok_or_else(|| Refusal::Wrong {
            pointer: "/user".into(),
            text: "there is no user of that name".into(),
        })?;
        may_change(caller, &account)?;
        // A token makes none that is for more than itself.
        if let Some(missing) = opened(new.kind, &new.scopes).beyond(caller.scopes) {
            return Err(Refusal::NeedPermission(missing).into());
        }
        let (row, secret) = self.make_token(Some(caller), &account, new).await?;
        let view = view(account, row).ok_or(Fault("an account has no valid name".into()))?;
        Ok((view, secret))
    }

    /// Makes a token; the caller's right to do so has been looked at.
    pub(super) async fn make_token(
        &self,
        caller: Option<&Caller>,
        account: &AccountRow,
        new: NewToken,
    ) -> Answer<(AppPasswordRow, String)> {
        one_line("label", new.label.as_deref())?;
        let (known, what): (Vec<&str>, _) = match new.kind {
            TokenKind::App => (DAV_SCOPES.to_vec(), "an app password"),
            TokenKind::Api => (Permission::ALL.iter().map(|(_, word)| *word).collect(), "an API token"),
        };
        for (at, scope) in new.scopes.iter().enumerate() {
            if !known.contains(&scope.as_str()) {
                let text = format!("'{scope}' is no scope of {what}; there are {}", known.join(", "));
                return Err(Refusal::Wrong { pointer: format!("/scopes/{at}"), text }.into());
            }
        }
        self.in_future(new.expires)?;
        let name = UserName::parse(&account.name);
        let name = name.map_err(|_| Fault("an account has no valid name".into()))?;
        let mut random = [0; secret::BYTES];
        self.entropy.fill(&mut random)?;
        let written = secret::written(&random);
        let row = AppPasswordRow {
            id: *self.fresh()?.as_bytes(),
            account: account.id,
            account_name: self.store.account_hash(&name),
            secret: self.store.hashes().secret(&secret::normal(&written)),
            label: new.label,
            scopes: new.scopes,
            created: rows::micros(self.clock.now()),
            expires: new.expires.map(rows::micros),
            api: new.kind == TokenKind::Api,
            // What a token makes opens no more than it does. The command line is the machine's own.
            foreign: caller.is_some_and(|caller| caller.account.as_bytes() != &account.id || !caller.private),
            ..AppPasswordRow::default()
        };
        let add = Op::Account(AccountOp::AddAppPassword(row.clone()));
        self.commit(caller, Vec::new(), vec![add]).await?;
        Ok((row, written))
    }

    /// Changes what is written on a token, and when it ends; `None` where it is no longer as `token`
    /// shows it.
    pub async fn change_token(
        &self,
        caller: &Caller,
        token: &TokenView,
        label: Option<String>,
        expires: Option<Timestamp>,
    ) -> Answer<Option<TokenView>> {
        caller.need_scope(Permission::Users)?;
        may_change(caller, &token.owner)?;
        one_line("label", label.as_deref())?;
        if expires != token.expires {
            self.in_future(expires)?;
        }
        let row = AppPasswordRow { label, expires: expires.map(rows::micros), ..token.row.clone() };
        let op = Op::Account(AccountOp::UpdateAppPassword(row.clone()));
        match self.commit(Some(caller), vec![as_shown(token)], vec![op]).await {
            Err(Stop::Refused(Refusal::Unmet)) => return Ok(None),
            done => drop(done?),
        }
        let view = view(token.owner.clone(), row);
        Ok(Some(view.ok_or(Fault("an account has no valid name".into()))?))
    }

    /// Makes a token useless; false where it is no longer as `token` shows it.
    pub async fn remove_token(&self, caller: &Caller, token: &TokenView) -> Answer<bool> {
        caller.need_scope(Permission::Users)?;
        may_change(caller, &token.owner)?;
        match self.commit(Some(caller), vec![as_shown(token)], vec![removal(token.row.clone())]).await {
            Err(Stop::Refused(Refusal::Unmet)) => Ok(false),
            done => done.map(|_| true),
        }
    }

    /// All tokens, or those of one user, as the command line lists them.
    pub(super) async fn list_tokens(&self, user: Option<String>) -> Answer<AdminAnswer> {
        let account = match user {
            Some(user) => Some(self.account(&user).await?.id),
            None => None,
        };
        // So that the list tells of the latest uses; without them it is a list all the same.
        let _ = self.flush_events().await;
        let reader = self.store.read().await?;
        let accounts = reader.accounts().await?;
        let tokens = reader.app_passwords(account.as_ref()).await?;
        let name = |id| accounts.iter().find(|account| account.id == id).map(|account| account.name.clone());
        let row = |token: AppPasswordRow| TokenRow {
            last_use: token.used.as_ref().map(|used| rows::time(used.at)),
            client: token.used.as_ref().map(|used| used.client.clone()),
            address: token.used.as_ref().map(|used| used.address.clone()),
            id: Uuid::from_bytes(token.id).to_string(),
            user: name(token.account).unwrap_or_default(),
            kind: if token.api { "api" } else { "app" }.into(),
            label: token.label,
            scopes: token.scopes,
            created: rows::time(token.created),
            expires: token.expires.map(rows::time),
        };
        Ok(AdminAnswer::Tokens(tokens.into_iter().map(row).collect()))
    }

    /// Makes a token useless, by its id.
    pub(super) async fn revoke_token(&self, id: &str) -> Answer<()> {
        let tokens = self.store.read().await?.app_passwords(None).await?;
        let wanted = Uuid::try_parse(id).ok().map(Uuid::into_bytes);
        let token = tokens.into_iter().find(|token| Some(token.id) == wanted);
        let token = token
            .ok_or_else(|| conflict(format!("there is no token '{id}'; 'cardkeep token list' shows them")))?;
        self.commit(None, Vec::new(), vec![removal(token)]).await?;
        Ok(())
    }

    fn in_future(&self, expires: Option<Timestamp>) -> Answer<()> {
        match expires.is_some_and(|end| end <= self.clock.now()) {
            true => {
                let text = "the token would have ended already; choose a time to come".into();
                Err(Refusal::Wrong { pointer: "/expires".into(), text }.into())
            }
            false => Ok(()),
        }
    }
}

/// That a token is as it is shown.
fn as_shown(token: &TokenView) -> Expect {
    let at = At::AppPassword(Id(token.row.account), Id(token.row.id));
    let state = FactState::SaysAs(Box::new(token.row.clone()));
    Expect(vec![vec![Fact { at: Some(at), state, negate: false }]])
}

/// What a token of these scopes lets its holder do, in the words of permissions: with an app password
/// contacts are read, changed and deleted.
fn opened(kind: TokenKind, scopes: &[String]) -> Permissions {
    let words = || scopes.iter().map(String::as_str);
    match kind {
        TokenKind::Api if scopes.is_empty() => Permissions::ALL,
        TokenKind::Api => Permissions::of(words()),
        TokenKind::App => {
            let whole = scopes.is_empty() || words().any(|word| word == "dav:contacts");
            let reads = words().any(|word| word == "dav:contacts:read");
            Permissions::of(
                match (whole, reads) {
                    (true, _) => &["contacts:read", "contacts:write", "contacts:delete"][..],
                    (false, true) => &["contacts:read"],
                    (false, false) => &[],
                }
                .iter()
                .copied(),
            )
        }
    }
}

/// One's own tokens, or those of whoever may do no more than oneself.
fn may_change(caller: &Caller, owner: &AccountRow) -> Result<(), Refusal> {
    match caller.account == AccountId::from_bytes(owner.id) {
        true => Ok(()),
        false => outranked(caller, owner),
    }
}

fn view(owner: AccountRow, row: AppPasswordRow) -> Option<TokenView> {
    let used = row.used.clone().map(|used| UsedView {
        at: rows::time(used.at),
        client: used.client,
        address: used.address,
    });
    Some(TokenView {
        id: Uuid::from_bytes(row.id),
        user: UserName::parse(&owner.name).ok()?,
        kind: if row.api { TokenKind::Api } else { TokenKind::App },
        scopes: row.scopes.clone(),
        label: row.label.clone(),
        created: rows::time(row.created),
        expires: row.expires.map(rows::time),
        used,
        row,
        owner,
    })
}

#[cfg(test)]
mod tests;
