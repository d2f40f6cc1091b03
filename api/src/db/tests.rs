use super::*;

async fn open() -> (tempfile::TempDir, Db) {
    let folder = tempfile::TempDir::new().unwrap();
    let db = Db::open(&folder.path().join("new/api.sqlite")).await.unwrap();
    (folder, db)
}

#[tokio::test]
async fn a_file_is_made_opened_again_and_refused_when_from_another_release() {
    let (folder, db) = open().await;
    db.close().await;
    let path = folder.path().join("new/api.sqlite");
    let db = Db::open(&path).await.unwrap();
    let mut tx = db.write().await.unwrap();
    sqlx::query("INSERT INTO migrations (version, sha256) VALUES (4, 'x')").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    db.close().await;
    assert!(matches!(Db::open(&path).await, Err(DbError::Migration { version: 4 })));
}

#[tokio::test]
async fn the_ledger_and_the_audit_log_only_grow() {
    let (_folder, db) = open().await;
    let mut tx = db.write().await.unwrap();
    for sql in [
        "INSERT INTO tenants VALUES ('ten_1', 'demo', 'Demo', 0)",
        "INSERT INTO ledger_transactions VALUES ('txn_1', 'ten_1', 1, 'a', 'b', 'd', 0, 0, 'p', 'h')",
        "INSERT INTO ledger_postings VALUES ('txn_1', 1, 'ten_1', 'x', 'USD', 5)",
        "INSERT INTO audit_log VALUES (1, 'ten_1', 'me', 'did', 'it', NULL, 0)",
    ] {
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
    }
    for sql in [
        "UPDATE ledger_postings SET amount_minor = 6",
        "DELETE FROM ledger_postings",
        "UPDATE ledger_transactions SET effect = 'c'",
        "DELETE FROM ledger_transactions",
        "UPDATE audit_log SET actor = 'you'",
        "DELETE FROM audit_log",
    ] {
        let refused = sqlx::query(sql).execute(&mut *tx).await.unwrap_err().to_string();
        assert!(refused.contains("append only"), "{sql}: {refused}");
    }
}
