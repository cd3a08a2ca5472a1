//! Who may reach the server and what they may do: the options, and the first administrator.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::builder::FalseyValueParser;
use lathe_server::Framing;
use lathe_server::access::{Door, Login, new_secret};
use lathe_store::Store;
use lathe_types::access::Permission;
use lathe_types::users::{check_password, check_username};

use crate::clock;
use crate::exit::hinted;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Who may do what")]
pub struct AccessArgs {
    /// Let people log in: users, tokens, roles, permissions. The first start makes an administrator.
    #[arg(long, env = "LATHE_AUTH", value_parser = FalseyValueParser::new())]
    auth: bool,
    /// What everybody may do where no permission says anything: READ, USE, EDIT, MANAGE or NO_PERMISSIONS.
    #[arg(long, env = "LATHE_DEFAULT_PERMISSION", value_name = "LEVEL")]
    default_permission: Option<String>,
    /// The name of the first administrator; `admin` if absent.
    #[arg(
        long,
        env = "MLFLOW_AUTH_ADMIN_USERNAME",
        hide_env_values = true,
        value_name = "NAME"
    )]
    admin_username: Option<String>,
    /// MLflow's `basic_auth.ini`, of which `default_permission` and `admin_…` are read.
    #[arg(long, env = "MLFLOW_AUTH_CONFIG_PATH", value_name = "FILE")]
    auth_config: Option<PathBuf>,
    /// Host names that may be asked for beside loopback, comma separated; `*` stands for any text. Without any,
    /// addresses of private networks may be.
    #[arg(
        long,
        env = "MLFLOW_SERVER_ALLOWED_HOSTS",
        value_delimiter = ',',
        value_name = "HOSTS"
    )]
    pub allowed_hosts: Vec<String>,
    /// Origins whose pages may read and write here, comma separated, as `https://app.example`; `*` stands for any text.
    #[arg(
        long,
        env = "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS",
        value_delimiter = ',',
        value_name = "ORIGINS"
    )]
    pub cors_allowed_origins: Vec<String>,
    /// Who may show the page in a frame: SAMEORIGIN, DENY or NONE (anybody).
    #[arg(
        long,
        env = "MLFLOW_SERVER_X_FRAME_OPTIONS",
        default_value = "SAMEORIGIN",
        value_name = "WHO"
    )]
    x_frame_options: String,
    /// Look at neither Host nor Origin. Do not, where browsers are.
    #[arg(long, env = "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE", value_parser = FalseyValueParser::new())]
    pub disable_security_middleware: bool,
    /// Listen beyond loopback although nobody has to log in.
    #[arg(long)]
    pub no_auth_beyond_loopback: bool,
}

/// What MLflow's `basic_auth.ini` says.
#[derive(Debug, Default, PartialEq)]
struct Ini {
    default_permission: Option<String>,
    admin_username: Option<String>,
    admin_password: Option<String>,
}

impl Ini {
    fn parse(text: &str) -> Self {
        let mut ini = Self::default();
        let mut ours = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                ours = line == "[mlflow]";
            }
            let Some((key, value)) = line
                .split_once('=')
                .filter(|_| ours && !line.starts_with(['#', ';']))
            else {
                continue;
            };
            let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            match key.trim() {
                "default_permission" => ini.default_permission = value,
                "admin_username" => ini.admin_username = value,
                "admin_password" => ini.admin_password = value,
                _ => {}
            }
        }
        ini
    }
}

impl AccessArgs {
    pub fn wants_auth(&self) -> bool {
        self.auth
    }

    pub fn framing(&self) -> anyhow::Result<Framing> {
        match self.x_frame_options.to_ascii_uppercase().as_str() {
            "SAMEORIGIN" => Ok(Framing::SameOrigin),
            "DENY" => Ok(Framing::Deny),
            "NONE" => Ok(Framing::Anyone),
            other => Err(hinted(
                format!("`--x-frame-options {other}` is not known"),
                "say SAMEORIGIN, DENY or NONE",
            )),
        }
    }

    fn ini(&self) -> anyhow::Result<Ini> {
        match &self.auth_config {
            None => Ok(Ini::default()),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("`{}` cannot be read", path.display()))?;
                Ok(Ini::parse(&text))
            }
        }
    }

    /// The door, and the first administrator behind it.
    pub async fn open_door(&self, store: &Store) -> anyhow::Result<Login> {
        let ini = self.ini()?;
        let level = self.default_permission.clone().or(ini.default_permission.clone());
        let default = Permission::parse(level.as_deref().unwrap_or("READ"))?;
        if default == Permission::Deny {
            return Err(hinted("`DENY` cannot be the default", "say NO_PERMISSIONS"));
        }
        let door = Door::new(default)?;
        if !store.has_admin().await? {
            self.make_admin(store, &door, ini).await?;
        }
        Ok(Login::On(Arc::new(door)))
    }

    async fn make_admin(&self, store: &Store, door: &Door, ini: Ini) -> anyhow::Result<()> {
        let name = self
            .admin_username
            .clone()
            .filter(|name| !name.is_empty())
            .or(ini.admin_username)
            .unwrap_or_else(|| "admin".into());
        check_username(&name)?;
        let given = ["MLFLOW_AUTH_ADMIN_PASSWORD", "LATHE_ADMIN_PASSWORD"]
            .iter()
            .find_map(|variable| std::env::var(variable).ok())
            .or(ini.admin_password);
        let password = match &given {
            Some(password) => {
                check_password(password)
                    .with_context(|| format!("the password given for `{name}` cannot be taken"))?;
                if password == "password1234" {
                    return Err(hinted(
                        "`password1234` was the password of every MLflow server once",
                        "choose another in LATHE_ADMIN_PASSWORD",
                    ));
                }
                password.clone()
            }
            None => new_secret()[..24].to_owned(),
        };
        let hash = door.hasher().hash(password.clone()).await?;
        let made = store.create_first_user(name.clone(), hash, clock::now()).await?;
        if made && given.is_none() {
            // Not through the log, which may be kept: this is said once, to whoever started the server.
            eprintln!(
                "the first administrator is `{name}` with the password {password}\n\
                 It is not shown again; change it with `lathe user set-password {name}`."
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_mlflows_ini_is_read() {
        let ini = Ini::parse(
            "[other]\nadmin_password = x\n[mlflow]\ndefault_permission = NO_PERMISSIONS\n# admin_password = y\nadmin_username =\n",
        );
        assert_eq!(
            ini,
            Ini {
                default_permission: Some("NO_PERMISSIONS".into()),
                ..Ini::default()
            }
        );
    }
}
