CREATE TABLE operations (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  customer TEXT NOT NULL,
  amount INTEGER NOT NULL,
  currency TEXT NOT NULL,
  due_at TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'open'
);
CREATE INDEX operations_due ON operations (due_at);
CREATE TABLE bookings (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  operation TEXT NOT NULL UNIQUE,
  charge TEXT,
  outcome TEXT NOT NULL,
  amount INTEGER NOT NULL,
  currency TEXT NOT NULL,
  run TEXT NOT NULL,
  booked_at TEXT NOT NULL
);
CREATE TABLE refunds (
  charge TEXT PRIMARY KEY,
  operation TEXT NOT NULL,
  amount INTEGER NOT NULL,
  given_at TEXT NOT NULL,
  given_by TEXT NOT NULL
);
CREATE TABLE notices (
  seq INTEGER PRIMARY KEY,
  charge TEXT NOT NULL,
  operation TEXT NOT NULL,
  kind TEXT NOT NULL,
  captured TEXT NOT NULL,
  currency TEXT NOT NULL,
  received_at TEXT NOT NULL
);
CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE batches (
  id TEXT PRIMARY KEY,
  opens TEXT NOT NULL,
  closes TEXT NOT NULL,
  state TEXT NOT NULL
);
CREATE TABLE work (
  batch TEXT NOT NULL,
  position INTEGER NOT NULL,
  operation TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'queued',
  asked INTEGER NOT NULL DEFAULT 0,
  charge TEXT,
  PRIMARY KEY (batch, position)
);
