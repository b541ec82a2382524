//! PKCS#11 libraries: each loaded and started once in a process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};

use crate::{Pin, Pkcs11Error};

/// Every library in use. They stay loaded: a library that is stopped takes the sessions of everybody with it.
static MODULES: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());

/// A PKCS#11 library that has been started.
pub(crate) struct Module {
    pkcs11: Pkcs11,
    /// Serial numbers of tokens, each with the PIN it has refused.
    refused: Mutex<Vec<(String, Pin)>>,
}

impl Module {
    /// The library in this file, loaded now if it is not yet.
    pub(crate) fn load(path: &Path) -> Result<Arc<Self>, Pkcs11Error> {
        let path = path.canonicalize().map_err(|source| Pkcs11Error::ModulePath { path: path.to_owned(), source })?;
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(&path) {
            return Ok(Arc::clone(module));
        }
        let failed = |source: Error| Pkcs11Error::Module { path: path.clone(), source: Box::new(source) };
        let pkcs11 = Pkcs11::new(&path).map_err(failed)?;
        let module = Arc::new(Self { pkcs11, refused: Mutex::default() });
        module.start().map_err(failed)?;
        modules.insert(path, Arc::clone(&module));
        Ok(module)
    }

    /// `C_Initialize`, unless somebody in this process has been there before.
    pub(crate) fn start(&self) -> Result<(), Error> {
        match self.pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
            other => other,
        }
    }

    pub(crate) fn pkcs11(&self) -> &Pkcs11 {
        &self.pkcs11
    }

    /// Remembers that a token has refused a PIN: a few more tries would lock it.
    pub(crate) fn note_refused(&self, serial: &str, pin: Pin) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.retain(|(token, _)| token != serial);
        refused.push((serial.to_owned(), pin));
    }

    pub(crate) fn has_refused(&self, serial: &str, pin: &Pin) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.iter().any(|(token, before)| token == serial && before == pin)
    }
}
