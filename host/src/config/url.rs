//! Database URLs, taken apart so far that a password never travels inside one.

use percent_encoding::percent_decode_str;

use super::reference;

/// The schemes of a database URL; the last is that of JDBC.
const SCHEMES: [&str; 3] = ["postgres://", "postgresql://", "jdbc:postgresql://"];

/// What is put in place of a password.
pub const HIDDEN: &str = "[hidden]";

/// The parts of a URL, each as it stands there, percent signs and all.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    scheme: &'static str,
    /// The user before the `@`, or the parameter `user`.
    pub user: Option<&'a str>,
    /// The password before the `@`, or the parameter `password`.
    pub password: Option<&'a str>,
    is_user_in_query: bool,
    is_password_in_query: bool,
    hosts: &'a str,
    path: &'a str,
    params: Vec<&'a str>,
}

/// Takes a URL apart. The error says what is wrong without showing the URL.
pub fn split(url: &str) -> Result<Parts<'_>, &'static str> {
    let scheme = SCHEMES.into_iter().find(|scheme| url.starts_with(scheme));
    let scheme = scheme.ok_or("takes a URL that begins with `postgres://`, `postgresql://` or `jdbc:postgresql://`")?;
    let rest = url.get(scheme.len()..).unwrap_or_default();
    let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    let (userinfo, hosts) = authority.rsplit_once('@').map_or((None, authority), |(info, hosts)| (Some(info), hosts));
    check_hosts(hosts)?;
    let (user, password) = match userinfo.map(|info| info.split_once(':').ok_or(info)) {
        None => (None, None),
        Some(Ok((user, password))) => (Some(user), Some(password)),
        Some(Err(user)) => (Some(user), None),
    };
    let param = |name: &str| query.split('&').find_map(|param| param.strip_prefix(name)?.strip_prefix('='));
    let (query_user, query_password) = (param("user"), param("password"));
    if (user.is_some() && query_user.is_some()) || (password.is_some() && query_password.is_some()) {
        return Err("names the user or the password twice");
    }
    let is_credential = |param: &&str| matches!(param.split_once('='), Some(("user" | "password", _)));
    Ok(Parts {
        scheme,
        user: user.or(query_user).filter(|user| !user.is_empty()),
        password: password.or(query_password),
        is_user_in_query: query_user.is_some(),
        is_password_in_query: query_password.is_some(),
        hosts,
        path,
        params: query.split('&').filter(|param| !param.is_empty() && !is_credential(param)).collect(),
    })
}

/// One or more hosts with or without ports, separated by commas.
fn check_hosts(hosts: &str) -> Result<(), &'static str> {
    for host in hosts.split(',') {
        let after_bracket = host.rfind(']').map_or(0, |bracket| bracket + 1);
        let (name, port) = match host.get(after_bracket..).and_then(|rest| rest.rsplit_once(':')) {
            Some((before, port)) => (before.len() + after_bracket, Some(port)),
            None => (host.len(), None),
        };
        if name == 0 {
            return Err("names no host");
        }
        // A port that is not ASCII is the stand-in of a reference.
        if port.is_some_and(|port| port.is_ascii() && !port.parse::<u16>().is_ok_and(|number| number > 0)) {
            return Err("names a port that is no number from 1 to 65535");
        }
    }
    Ok(())
}

impl Parts<'_> {
    /// The URL without its password, and without its user where a parameter names it.
    pub fn without_credentials(&self) -> String {
        self.written(self.user.filter(|_| !self.is_user_in_query), None)
    }

    /// The user that a parameter names, which [`Parts::without_credentials`] leaves out.
    pub fn user_in_query(&self) -> Option<&str> {
        self.user.filter(|_| self.is_user_in_query)
    }

    /// The URL with a mark in place of its password.
    pub fn hidden(&self) -> String {
        self.written(self.user, self.password.map(|_| HIDDEN))
    }

    fn written(&self, user: Option<&str>, password: Option<&str>) -> String {
        let mut params: Vec<String> = self.params.iter().map(|&param| param.to_owned()).collect();
        let userinfo = match (user, password.filter(|_| !self.is_password_in_query)) {
            (Some(user), _) if self.is_user_in_query => {
                params.push(format!("user={user}"));
                String::new()
            }
            (Some(user), None) => format!("{user}@"),
            (user, Some(password)) => format!("{}:{password}@", user.unwrap_or_default()),
            (None, None) => String::new(),
        };
        if let Some(password) = password.filter(|_| self.is_password_in_query) {
            params.push(format!("password={password}"));
        }
        let mark = if params.is_empty() { "" } else { "?" };
        let Parts { scheme, hosts, path, .. } = self;
        format!("{scheme}{userinfo}{hosts}{path}{mark}{}", params.join("&"))
    }
}

/// A part with its percent escapes resolved; None where that is no UTF-8.
pub fn decode(part: &str) -> Option<String> {
    percent_decode_str(part).decode_utf8().ok().map(Into::into)
}

/// The URL as it may be shown: references stay, a literal password does not. A text that is no URL may be
/// anything, so nothing of it is shown unless it is made of references.
pub fn shown(written: &str) -> String {
    let masked = reference::mask(written);
    match split(&masked.text) {
        _ if reference::is_only_references(written) => written.to_owned(),
        Ok(parts) if parts.password.is_some_and(|it| !reference::is_only_references(&masked.restore(it))) => {
            masked.restore(&parts.hidden())
        }
        Ok(_) => written.to_owned(),
        Err(_) => HIDDEN.to_owned(),
    }
}

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;
