//! Unions as the ledger stores them: a MessagePack array whose first element says which of the union it is.

/// Declare the structs of a union, each with its tag and its fields in their stored order.
///
/// A field that stored bytes lack, as older ones may, has its type's default. Of a `plain` union every field is a scalar,
/// and `fields_of` a tag says what `plain_entry.rs` takes.
#[macro_export]
macro_rules! tagged {
    ($(#[$about:meta])* plain $union:ident { $($(#[$doc:meta])* $name:ident $tag:literal { $($field:ident: $type:ty),* $(,)? })* }) => {
        $crate::tagged! { $(#[$about])* $union { $($(#[$doc])* $name $tag { $($field: $type),* })* } }

        impl $union {
            /// Return the fields behind a tag, in their stored order; None where there is no such tag.
            pub fn fields_of(tag: &str) -> Option<&'static [$crate::plain_entry::Field]> {
                use $crate::plain_entry::{Field, Scalar};
                match tag {
                    $($tag => Some(const {
                        &[$(Field::new(
                            stringify!($field),
                            concat!(",\"", stringify!($field), "\":"),
                            <$type as Scalar>::KIND,
                        )),*]
                    }),)*
                    _ => None,
                }
            }
        }
    };
    ($(#[$about:meta])* $union:ident { $($(#[$doc:meta])* $name:ident $tag:literal { $($field:ident: $type:ty),* $(,)? })* }) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
            #[serde(default)]
            pub struct $name { $(pub $field: $type),* }

            impl serde::Serialize for $name {
                fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                    use serde::ser::SerializeTuple;
                    const FIELDS: &[&str] = &[$(stringify!($field)),*];
                    let mut array = to.serialize_tuple(1 + FIELDS.len())?;
                    array.serialize_element($tag)?;
                    $(array.serialize_element(&self.$field)?;)*
                    array.end()
                }
            }

            impl From<$name> for $union {
                fn from(one: $name) -> $union { $union::$name(one) }
            }
        )*

        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        #[serde(untagged)]
        pub enum $union { $($name($name)),* }

        impl<'de> serde::Deserialize<'de> for $union {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<$union, D::Error> {
                struct Visitor;
                impl<'de> serde::de::Visitor<'de> for Visitor {
                    type Value = $union;
                    fn expecting(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
                        to.write_str("an array that begins with a tag")
                    }
                    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut array: A) -> Result<$union, A::Error> {
                        use serde::Deserialize;
                        use serde::de::{Error, value::SeqAccessDeserializer};
                        let tag: std::borrow::Cow<'de, str> =
                            array.next_element()?.ok_or_else(|| A::Error::custom("an array without a tag"))?;
                        match tag.as_ref() {
                            $($tag => $name::deserialize(SeqAccessDeserializer::new(array)).map($union::$name),)*
                            other => Err(A::Error::custom(format!("no such tag: {other}"))),
                        }
                    }
                }
                from.deserialize_seq(Visitor)
            }
        }
    };
}
