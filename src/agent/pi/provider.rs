//! Whether pi seems to have a model to talk to, for `ralph doctor`.
//!
//! Only names are looked at: of providers in pi's own files, and of environment variables that hold keys. No key is
//! kept or given out. It is a sign, not a proof: pi alone knows whether a key is accepted.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::printable::printable;
use super::files;

/// The variables in which pi looks for a key, or from which a cloud's library takes one; of 0.74 and 1.5.
const KEY_VARIABLES: &[&str] = &[
    "AI_GATEWAY_API_KEY",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_OAUTH_TOKEN",
    "ANT_LING_API_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AZURE_OPENAI_API_KEY",
    "BASETEN_API_KEY",
    "CEREBRAS_API_KEY",
    "CLOUDFLARE_API_KEY",
    "COPILOT_GITHUB_TOKEN",
    "DEEPSEEK_API_KEY",
    "FIREWORKS_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLOUD_API_KEY",
    "GROQ_API_KEY",
    "HF_TOKEN",
    "KIMI_API_KEY",
    "META_API_KEY",
    "MINIMAX_API_KEY",
    "MINIMAX_CN_API_KEY",
    "MISTRAL_API_KEY",
    "MOONSHOT_API_KEY",
    "NVIDIA_API_KEY",
    "OPENAI_API_KEY",
    "OPENCODE_API_KEY",
    "OPENROUTER_API_KEY",
    "QWEN_TOKEN_PLAN_API_KEY",
    "QWEN_TOKEN_PLAN_CN_API_KEY",
    "RADIUS_API_KEY",
    "TOGETHER_API_KEY",
    "TYPESAFE_API_KEY",
    "XAI_API_KEY",
    "XIAOMI_API_KEY",
    "XIAOMI_TOKEN_PLAN_AMS_API_KEY",
    "XIAOMI_TOKEN_PLAN_CN_API_KEY",
    "XIAOMI_TOKEN_PLAN_SGP_API_KEY",
    "ZAI_API_KEY",
    "ZAI_CODING_CN_API_KEY",
];

/// The signs that pi has a provider.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProviderSigns {
    /// The providers that pi was logged in to (`auth.json`).
    pub logged_in: Vec<String>,
    /// The providers of the user's own (`models.json`).
    pub own: Vec<String>,
    /// There is a `models.json` that is not plain JSON: comments are allowed, a mistake makes pi ignore it silently.
    pub unread_models: bool,
    /// The provider that is used unless another is asked for (`settings.json`).
    pub default_provider: Option<String>,
    /// The key variables that are set.
    pub variables: Vec<String>,
}

impl ProviderSigns {
    /// Looks into pi's folder and at the names of the variables that are set.
    pub fn find<'a>(agent_dir: Option<&Path>, variables: impl IntoIterator<Item = &'a str>) -> Self {
        let mut signs = Self::default();
        for name in variables {
            if KEY_VARIABLES.contains(&name) {
                signs.variables.push(name.to_owned());
            }
        }
        signs.variables.sort();
        if let Some(dir) = agent_dir {
            signs.logged_in = provider_names(parsed(&dir.join("auth.json")).unwrap_or_default());
            let models = dir.join("models.json");
            match parsed::<Models>(&models) {
                Some(models) => signs.own = provider_names(models.providers),
                None => signs.unread_models = files::is_readable_file(&models),
            }
            signs.default_provider = parsed::<Settings>(&dir.join("settings.json"))
                .and_then(|settings| settings.default_provider)
                .map(|name| printable(&name));
        }
        signs
    }

    /// Whether pi can be expected to find a model.
    pub fn seems_configured(&self) -> bool {
        !self.logged_in.is_empty()
            || !self.own.is_empty()
            || self.unread_models
            || self.default_provider.is_some()
            || !self.variables.is_empty()
    }
}

/// The names in an object; what they stand for is passed over as it is parsed.
type Names = BTreeMap<String, IgnoredAny>;

#[derive(Deserialize)]
struct Models {
    #[serde(default)]
    providers: Names,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    default_provider: Option<String>,
}

fn parsed<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    let content = files::read_small(path)?;
    serde_json::from_slice(content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&content)).ok()
}

fn provider_names(names: Names) -> Vec<String> {
    names.into_keys().map(|name| printable(&name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    #[test]
    fn each_sign_counts_and_no_value_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let signs = || ProviderSigns::find(Some(dir.path()), ["HOME", "PATH"]);
        assert!(!signs().seems_configured());
        let put = |name: &str, content: &str| fs::write(dir.path().join(name), content).unwrap();

        put("auth.json", r#"{"anthropic":{"type":"api_key","key":"hunter2"},"x":{"access":"hunter2"}}"#);
        assert_eq!(signs().logged_in, ["anthropic", "x"]);
        put("models.json", r#"{"providers":{"local":{"baseUrl":"http://x","apiKey":"hunter2"}}}"#);
        assert_eq!(signs().own, ["local"]);
        put("settings.json", r#"{"defaultProvider":"local","theme":"dark"}"#);
        assert_eq!(signs().default_provider.as_deref(), Some("local"));
        assert!(signs().seems_configured());
        assert!(!format!("{:?}", signs()).contains("hunter2"));

        put("models.json", "// mine\n{\"providers\":{}}");
        assert!(signs().unread_models);
    }

    #[test]
    fn nothing_in_the_files_is_nothing_configured() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["auth.json", "models.json", "settings.json"] {
            fs::write(dir.path().join(name), "{}").unwrap();
        }
        assert_eq!(ProviderSigns::find(Some(dir.path()), []), ProviderSigns::default());
        assert_eq!(ProviderSigns::find(None, []), ProviderSigns::default());
    }

    #[test]
    fn a_key_variable_counts_by_its_name() {
        let signs = ProviderSigns::find(None, ["OPENAI_API_KEY", "PATH", "ANTHROPIC_API_KEY"]);
        assert_eq!(signs.variables, ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"]);
        assert!(signs.seems_configured());
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(bytes: Vec<u8>) {
            let dir = tempfile::tempdir().unwrap();
            for name in ["auth.json", "models.json", "settings.json"] {
                fs::write(dir.path().join(name), &bytes).unwrap();
            }
            drop(ProviderSigns::find(Some(dir.path()), []));
        }
    }
}
