//! A token: found by its URI, logged in, with one session that is opened again when it is lost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;

use crate::error::{Class, TokenError};
use crate::module::Module;
use crate::{Pin, Pkcs11Uri};

/// A token, there or not.
pub(crate) struct Token {
    module: Arc<Module>,
    uri: Pkcs11Uri,
    /// Given by the program; else the file that the URI names is read at each login.
    pin: Option<Pin>,
    open: Mutex<Option<Open>>,
}

/// A token with a session in it.
pub(crate) struct Open {
    module: Arc<Module>,
    session: Session,
    slot: Slot,
    /// The token's own name and number.
    pub(crate) label: String,
    pub(crate) serial: String,
    /// What the token can do.
    pub(crate) mechanisms: Vec<MechanismType>,
    /// Where keys are: valid no longer than the session.
    handles: HashMap<KeyName, ObjectHandle>,
}

/// What a key is found by; what is empty may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct KeyName {
    /// `CKA_ID`.
    pub(crate) id: Vec<u8>,
    /// `CKA_LABEL`.
    pub(crate) label: Vec<u8>,
}

impl KeyName {
    pub(crate) fn of(uri: &Pkcs11Uri) -> Self {
        Self { id: uri.id().unwrap_or_default().to_vec(), label: uri.object().unwrap_or_default().as_bytes().to_vec() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.id.is_empty() && self.label.is_empty()
    }

    /// What to look for among objects of a class.
    pub(crate) fn template(&self, class: ObjectClass) -> Vec<Attribute> {
        let mut template = vec![Attribute::Class(class), Attribute::Token(true)];
        if !self.id.is_empty() {
            template.push(Attribute::Id(self.id.clone()));
        }
        if !self.label.is_empty() {
            template.push(Attribute::Label(self.label.clone()));
        }
        template
    }
}

impl Token {
    pub(crate) fn new(module: Arc<Module>, uri: Pkcs11Uri, pin: Option<Pin>) -> Self {
        Self { module, uri, pin, open: Mutex::new(None) }
    }

    pub(crate) fn uri(&self) -> &Pkcs11Uri {
        &self.uri
    }

    /// Does something in the token's session, one caller at a time.
    ///
    /// A session that turns out to be lost (token pulled and put back, logged out by somebody else, library restarted)
    /// is replaced, and `work` done once more in the new one.
    pub(crate) fn with<T>(&self, work: impl Fn(&mut Open) -> Result<T, TokenError>) -> Result<T, TokenError> {
        let mut place = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = place.as_mut() {
            match work(open) {
                Err(error) if error.class() == Class::Lost => {
                    tracing::debug!(token = open.label, error = &error as &dyn std::error::Error, "session lost");
                    *place = None;
                }
                outcome => return outcome,
            }
        }
        let mut open = self.open()?;
        let outcome = work(&mut open);
        if !outcome.as_ref().is_err_and(|error| error.class() == Class::Lost) {
            *place = Some(open);
        }
        outcome
    }

    fn open(&self) -> Result<Open, TokenError> {
        // Does nothing, but after somebody has stopped the library.
        self.module.start()?;
        let (slot, info) = self.find()?;
        let pkcs11 = self.module.pkcs11();
        let session = pkcs11.open_ro_session(slot)?;
        if info.login_required() {
            self.log_in(&session, &info)?;
        }
        Ok(Open {
            session,
            mechanisms: pkcs11.get_mechanism_list(slot)?,
            module: Arc::clone(&self.module),
            slot,
            label: info.label().to_owned(),
            serial: info.serial_number().to_owned(),
            handles: HashMap::new(),
        })
    }

    /// The one token that fits the URI.
    fn find(&self) -> Result<(Slot, TokenInfo), TokenError> {
        let pkcs11 = self.module.pkcs11();
        let mut there = Vec::new();
        for slot in pkcs11.get_slots_with_token()? {
            match pkcs11.get_token_info(slot) {
                Ok(info) if info.token_initialized() => there.push((slot, info)),
                Ok(_) => {}
                // Pulled in between.
                Err(Error::Pkcs11(RvError::TokenNotPresent | RvError::DeviceRemoved, _)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let names = |tokens: &[(Slot, TokenInfo)]| {
            tokens.iter().map(|(_, info)| format!("{:?} (serial {})", info.label(), info.serial_number())).collect()
        };
        let found = names(&there);
        there.retain(|(slot, info)| fits(&self.uri, *slot, info));
        let several = names(&there);
        let mut there = there.into_iter();
        match (there.next(), there.next()) {
            (Some(token), None) => Ok(token),
            (None, _) => Err(TokenError::NoToken { wanted: self.uri.to_string(), found }),
            (Some(_), Some(_)) => Err(TokenError::SeveralTokens { wanted: self.uri.to_string(), found: several }),
        }
    }

    fn log_in(&self, session: &Session, info: &TokenInfo) -> Result<(), TokenError> {
        let token = info.label().to_owned();
        if info.user_pin_locked() {
            return Err(TokenError::PinLocked { token });
        }
        let pin = match (&self.pin, self.uri.pin_source()) {
            (Some(pin), _) => Some(pin.clone()),
            (None, Some(file)) => Some(Pin::from_file(file).map_err(TokenError::Pin)?),
            // A key pad at the token's reader.
            (None, None) if info.protected_authentication_path() => None,
            (None, None) => return Err(TokenError::NoPin { token }),
        };
        if pin.as_ref().is_some_and(|pin| self.module.has_refused(info.serial_number(), pin)) {
            return Err(TokenError::PinRefusedBefore { token });
        }
        if info.user_pin_final_try() || info.user_pin_count_low() {
            tracing::warn!(token, "wrong PINs have been tried on this token, few more will lock it");
        }
        let given = pin.as_ref().map(|pin| AuthPin::from(pin.reveal().to_owned()));
        match session.login(UserType::User, given.as_ref()) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(error @ Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
                if let Some(pin) = pin {
                    self.module.note_refused(info.serial_number(), pin);
                }
                Err(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Open {
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// A session that may write, for as long as it is held. The login holds for it too.
    pub(crate) fn writable(&self) -> Result<Session, TokenError> {
        Ok(self.module.pkcs11().open_rw_session(self.slot)?)
    }

    /// Looks for this key anew when it is next asked for.
    pub(crate) fn forget(&mut self, name: &KeyName) {
        self.handles.retain(|known, _| known.id != name.id);
    }

    /// The one private key of this name.
    pub(crate) fn private_key(&mut self, name: &KeyName) -> Result<Option<ObjectHandle>, TokenError> {
        if let Some(known) = self.handles.get(name) {
            return Ok(Some(*known));
        }
        let found = self.session.find_objects(&name.template(ObjectClass::PRIVATE_KEY))?;
        match found.as_slice() {
            [] => Ok(None),
            [key] => {
                self.handles.insert(name.clone(), *key);
                Ok(Some(*key))
            }
            several => Err(TokenError::SeveralKeys { found: several.len() }),
        }
    }
}

fn fits(uri: &Pkcs11Uri, slot: Slot, info: &TokenInfo) -> bool {
    let is = |wanted: Option<&str>, found: &str| wanted.is_none_or(|wanted| wanted == found);
    is(uri.token(), info.label())
        && is(uri.serial(), info.serial_number())
        && is(uri.manufacturer(), info.manufacturer_id())
        && is(uri.model(), info.model())
        && uri.slot_id().is_none_or(|wanted| wanted == slot.id())
}
