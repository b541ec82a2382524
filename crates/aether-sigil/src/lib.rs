//! Variables of a plant with type, bounds, access, quality and events.
