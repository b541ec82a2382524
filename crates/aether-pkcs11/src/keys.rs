//! Keys of a token as a source of device keys.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use aether_mqtt::PrivateKey;
use aether_provisioning::{KeyError, KeyKind, KeySource};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass};

use crate::describe::describe;
use crate::error::{Class, TokenError};
use crate::module::Module;
use crate::signer::TokenKey;
use crate::token::{KeyName, Open, Token};
use crate::{Pin, Pkcs11Error, Pkcs11Uri, der};

/// Label of keys whose URI gives none.
const DEFAULT_LABEL: &str = "aether-device-key";
/// Bytes of an identifier made here. As many as of a UUID: two never meet.
const ID_BYTES: usize = 16;
/// The public exponent 65537.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// How a token's keys are used.
#[derive(Clone, Debug, Default)]
pub struct Pkcs11Options {
    module: Option<PathBuf>,
    pin: Option<Pin>,
    kind: KeyKind,
    always_new: bool,
}

impl Pkcs11Options {
    /// The PKCS#11 library, for URIs without a `module-path`. Default: none.
    ///
    /// It is loaded into this process and runs with all its rights: name one that you trust.
    #[must_use]
    pub fn module(mut self, path: impl Into<PathBuf>) -> Self {
        self.module = Some(path.into());
        self
    }

    /// The PIN, in place of the file that the URI's `pin-source` names. Default: that file.
    #[must_use]
    pub fn pin(mut self, pin: Pin) -> Self {
        self.pin = Some(pin);
        self
    }

    /// The kind of key to make. Default: [`KeyKind::EcP256`]. A key that is found is used whatever its kind.
    #[must_use]
    pub fn kind(mut self, kind: KeyKind) -> Self {
        self.kind = kind;
        self
    }

    /// Makes a new key each time one is asked for, under an identifier of its own, in place of finding the one that the
    /// URI names. Default: finds.
    ///
    /// For rotation with a new key. Keys that are no longer used stay in the token and fill it in the end, unless they
    /// are [removed](Pkcs11Keys::remove).
    #[must_use]
    pub fn always_new(mut self) -> Self {
        self.always_new = true;
        self
    }
}

/// Makes and finds device keys in a PKCS#11 token.
///
/// Keys are made with `CKA_TOKEN`, `CKA_PRIVATE` and `CKA_SENSITIVE`, and without `CKA_EXTRACTABLE`: they stay in the
/// token across restarts and never leave it. [`make`](KeySource::make) gives the key that the URI's `object` and `id`
/// name, and makes it only where there is none, so that a lost answer of the cloud costs no second key;
/// [`Pkcs11Options::always_new`] changes that.
///
/// All calls, and all signatures of its keys, go through one session, one at a time, and block. A session that is lost
/// is opened anew once within the same call. A PIN that the token has refused is not tried again in this process.
#[derive(Clone)]
pub struct Pkcs11Keys {
    token: Arc<Token>,
    kind: KeyKind,
    always_new: bool,
}

impl Pkcs11Keys {
    /// Keys in the token that `uri` names. Loads the PKCS#11 library; the token itself may still be away.
    ///
    /// # Errors
    ///
    /// [`Pkcs11Error`]: no library or none that works, or no name for the key.
    pub fn new(uri: Pkcs11Uri, options: Pkcs11Options) -> Result<Self, Pkcs11Error> {
        if !options.always_new && uri.object().is_none() && uri.id().is_none() {
            return Err(Pkcs11Error::NoKeyName { uri: uri.to_string() });
        }
        if options.always_new && uri.id().is_some() {
            return Err(Pkcs11Error::SharedId { uri: uri.to_string() });
        }
        let module = match uri.module_path().or(options.module.as_deref()) {
            Some(path) => Module::load(path)?,
            None => return Err(Pkcs11Error::NoModule { uri: uri.to_string() }),
        };
        let token = Arc::new(Token::new(module, uri, options.pin));
        Ok(Self { token, kind: options.kind, always_new: options.always_new })
    }

    /// The URI that names token and key.
    #[must_use]
    pub fn uri(&self) -> &Pkcs11Uri {
        self.token.uri()
    }

    /// Destroys the key that has this locator, with its public half. Nobody brings it back.
    ///
    /// Tells whether it was there: a second call is no error. The locator has to have the key's `id`, as those of keys
    /// made here have, so that no namesake is hit.
    ///
    /// # Errors
    ///
    /// [`KeyError`]: the locator names no single key, or the token is away or refuses.
    pub fn remove(&self, locator: &str) -> Result<bool, KeyError> {
        let (uri, name) = read_locator(locator)?;
        if name.id.is_empty() {
            let source = "it has no id, which a key to be destroyed must be named by".into();
            return Err(KeyError::Unusable { locator: locator.to_owned(), source });
        }
        let removed = self.token.with(|open| {
            let Some(private) = (if is_in(&uri, open) { open.private_key(&name)? } else { None }) else {
                return Ok(false);
            };
            let session = open.writable()?;
            // The public half first: killed in between, the key is still found and can be removed again.
            for public in session.find_objects(&name.template(ObjectClass::PUBLIC_KEY))? {
                session.destroy_object(public)?;
            }
            session.destroy_object(private)?;
            open.forget(&name);
            tracing::info!(locator, "key removed from the token");
            Ok(true)
        });
        removed.map_err(|error| {
            key_error(error, &uri, |source| KeyError::Unusable { locator: uri.to_string(), source: Box::new(source) })
        })
    }

    fn key(&self, open: &mut Open, name: &KeyName) -> Result<Option<PrivateKey>, TokenError> {
        let Some(handle) = open.private_key(name)? else { return Ok(None) };
        let found = describe(open, handle)?;
        let locator = Pkcs11Uri::of_key(&open.label, &open.serial, &found.object, &found.name.id);
        Ok(Some(PrivateKey::from_signer(Arc::new(TokenKey {
            token: Arc::clone(&self.token),
            name: found.name,
            algorithm: found.algorithm,
            public_key_der: found.public_key_der,
            schemes: found.schemes,
            locator: locator.to_string(),
        }))))
    }

    fn generate(&self, open: &Open, name: &KeyName) -> Result<(), TokenError> {
        let mut public = vec![Attribute::Token(true), Attribute::Private(false), Attribute::Verify(true)];
        let mechanism = match self.kind.rsa_bits() {
            Some(bits) => {
                public.push(Attribute::ModulusBits(u64::from(bits).into()));
                public.push(Attribute::PublicExponent(EXPONENT.to_vec()));
                Mechanism::RsaPkcsKeyPairGen
            }
            None => {
                let curve = if self.kind == KeyKind::EcP384 { der::P384 } else { der::P256 };
                public.push(Attribute::EcParams(curve.to_vec()));
                Mechanism::EccKeyPairGen
            }
        };
        let mut private = vec![
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ];
        for template in [&mut public, &mut private] {
            template.push(Attribute::Id(name.id.clone()));
            template.push(Attribute::Label(name.label.clone()));
        }
        open.writable()?.generate_key_pair(&mechanism, &public, &private)?;
        Ok(())
    }
}

impl KeySource for Pkcs11Keys {
    fn make(&self) -> Result<PrivateKey, KeyError> {
        let kind = self.kind;
        let wanted = if self.always_new { KeyName::default() } else { KeyName::of(self.uri()) };
        let label = self.uri().object().unwrap_or(DEFAULT_LABEL).as_bytes().to_vec();
        // Chosen before the token is asked, so that a second try finds what the first may have made.
        let id = match self.uri().id() {
            Some(id) => Ok(id.to_vec()),
            None => random_id(),
        };
        let new = id.map(|id| KeyName { id, label });
        let made = new.and_then(|new| {
            self.token.with(|open| {
                for name in [&wanted, &new] {
                    if !name.is_empty()
                        && let Some(key) = self.key(open, name)?
                    {
                        return Ok(key);
                    }
                }
                self.generate(open, &new)?;
                let key = self.key(open, &new)?.ok_or(TokenError::KeyGone)?;
                tracing::info!(locator = key.locator(), %kind, "key made in the token");
                Ok(key)
            })
        });
        made.map_err(|error| key_error(error, self.uri(), |source| KeyError::Make { kind, source: Box::new(source) }))
    }

    fn open(&self, locator: &str) -> Result<PrivateKey, KeyError> {
        let (uri, name) = read_locator(locator)?;
        let found = self.token.with(|open| if is_in(&uri, open) { self.key(open, &name) } else { Ok(None) });
        match found {
            Ok(Some(key)) => Ok(key),
            Ok(None) => Err(KeyError::NotFound { locator: locator.to_owned() }),
            Err(error) => Err(key_error(error, &uri, |source| KeyError::Unusable {
                locator: locator.to_owned(),
                source: Box::new(source),
            })),
        }
    }
}

impl fmt::Debug for Pkcs11Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Keys")
            .field("uri", self.uri())
            .field("kind", &self.kind)
            .field("always_new", &self.always_new)
            .finish()
    }
}

/// What a locator names.
fn read_locator(locator: &str) -> Result<(Pkcs11Uri, KeyName), KeyError> {
    let unusable = |source| KeyError::Unusable { locator: locator.to_owned(), source };
    let uri: Pkcs11Uri = locator.parse().map_err(|e| unusable(Box::new(e)))?;
    let name = KeyName::of(&uri);
    if name.is_empty() {
        return Err(unusable("it names no key: neither object nor id".into()));
    }
    Ok((uri, name))
}

/// Whether a locator's token is this one.
fn is_in(uri: &Pkcs11Uri, open: &Open) -> bool {
    uri.token().is_none_or(|token| token == open.label) && uri.serial().is_none_or(|serial| serial == open.serial)
}

fn random_id() -> Result<Vec<u8>, TokenError> {
    let mut id = vec![0; ID_BYTES];
    getrandom::fill(&mut id).map_err(TokenError::Random)?;
    Ok(id)
}

/// What a failure means to whoever asked for a key.
fn key_error(error: TokenError, uri: &Pkcs11Uri, otherwise: impl FnOnce(TokenError) -> KeyError) -> KeyError {
    match error.class() {
        Class::Lost | Class::Away => KeyError::Unavailable(Box::new(error)),
        Class::Refused => KeyError::Refused(Box::new(error)),
        Class::Final => match error {
            TokenError::SeveralKeys { .. } | TokenError::Unusable(_) => {
                KeyError::Unusable { locator: uri.to_string(), source: Box::new(error) }
            }
            error @ (TokenError::Library(_)
            | TokenError::NoToken { .. }
            | TokenError::SeveralTokens { .. }
            | TokenError::NoPin { .. }
            | TokenError::Pin(_)
            | TokenError::PinRefusedBefore { .. }
            | TokenError::PinLocked { .. }
            | TokenError::KeyGone
            | TokenError::Random(_)) => otherwise(error),
        },
    }
}
