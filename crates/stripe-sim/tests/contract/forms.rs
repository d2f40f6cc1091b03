//! What the client encodes is what the simulator decodes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use stripe::{Field, Form};
use stripe_sim::{Tree, decode};

fn field() -> impl Strategy<Value = Field> {
    let leaf = ".{0,12}".prop_map(Field::Text);
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 1..4).prop_map(Field::List), form(inner).prop_map(Field::Map),]
    })
}

/// Stripe allows no brackets in keys.
fn form(inner: impl Strategy<Value = Field>) -> impl Strategy<Value = Form> {
    let entries = prop::collection::btree_map("[a-zA-Z0-9_ %&=+.é-]{1,8}", inner, 1..4);
    entries.prop_map(|entries| entries.into_iter().fold(Form::new(), |form, (name, field)| form.with(&name, field)))
}

fn tree(field: &Field) -> Tree {
    match field {
        Field::Text(text) => Tree::Text(text.clone()),
        Field::List(items) => Tree::Map(items.iter().enumerate().map(|(index, item)| (index.to_string(), tree(item))).collect()),
        Field::Map(form) => root(form),
    }
}

fn root(form: &Form) -> Tree {
    let pairs = form.fields().iter().map(|(name, field)| (name.clone(), tree(field)));
    Tree::Map(pairs.collect::<BTreeMap<String, Tree>>())
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(form in form(field())) {
        prop_assert_eq!(decode(&form.encode()).unwrap(), root(&form));
    }

    #[test]
    fn strangers_never_panic(text in "[a-z0-9\\[\\]=&%+.é]{0,60}") {
        prop_assert_eq!(decode(&text), decode(&text));
    }
}
