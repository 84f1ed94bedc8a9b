BEGIN TRANSACTION;
CREATE TABLE account (
	one INTEGER NOT NULL CHECK (one = 1), 
	account VARCHAR NOT NULL, 
	base_currency VARCHAR NOT NULL, 
	capital VARCHAR NOT NULL, 
	PRIMARY KEY (one)
);
INSERT INTO "account" VALUES(1,'DU1','USD','1000000');
CREATE TABLE executions (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	exec_id VARCHAR NOT NULL, 
	broker_id INTEGER NOT NULL, 
	contract INTEGER NOT NULL, 
	quantity INTEGER NOT NULL, 
	price FLOAT NOT NULL, 
	time VARCHAR NOT NULL, 
	commission VARCHAR NOT NULL, 
	currency VARCHAR NOT NULL, 
	UNIQUE (exec_id), 
	FOREIGN KEY(broker_id) REFERENCES orders (broker_id)
);
INSERT INTO "executions" VALUES(1,'1.01.0',1,20240300,3,5404.25,'2024-01-10T15:10:00+00:00','1.7100','USD');
INSERT INTO "executions" VALUES(2,'2.01.0',2,20240300,282,3343.0,'2024-01-10T15:10:00+00:00','564.0000','EUR');
INSERT INTO "executions" VALUES(3,'3.01.0',3,20240300,-1,5403.0,'2024-01-10T15:40:00+00:00','0.5700','USD');
INSERT INTO "executions" VALUES(4,'4.01.0',4,20240300,-1,163.025,'2024-01-10T15:40:00+00:00','2.0700','USD');
INSERT INTO "executions" VALUES(5,'4.01.1',4,20240400,1,163.45,'2024-01-10T15:40:00+00:00','2.0700','USD');
CREATE TABLE legs (
	broker_id INTEGER NOT NULL, 
	leg INTEGER NOT NULL, 
	contract INTEGER NOT NULL, 
	quantity INTEGER NOT NULL, 
	filled INTEGER NOT NULL, 
	PRIMARY KEY (broker_id, leg), 
	CONSTRAINT filled_within_quantity CHECK (abs(filled) <= abs(quantity) and filled * quantity >= 0), 
	FOREIGN KEY(broker_id) REFERENCES orders (broker_id)
);
INSERT INTO "legs" VALUES(1,0,20240300,3,3);
INSERT INTO "legs" VALUES(2,0,20240300,846,282);
INSERT INTO "legs" VALUES(3,0,20240300,-1,-1);
INSERT INTO "legs" VALUES(4,0,20240300,-5,-1);
INSERT INTO "legs" VALUES(4,1,20240400,5,1);
INSERT INTO "legs" VALUES(5,0,20240300,2,0);
INSERT INTO "legs" VALUES(6,0,20240300,0,0);
CREATE TABLE orders (
	broker_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	client_ref VARCHAR NOT NULL, 
	account VARCHAR NOT NULL, 
	instrument VARCHAR NOT NULL, 
	order_type VARCHAR(20) NOT NULL, 
	limit_price FLOAT, 
	status VARCHAR(20) NOT NULL, 
	reason VARCHAR NOT NULL, 
	submitted VARCHAR NOT NULL, 
	fills INTEGER NOT NULL, 
	quote_bucket BIGINT NOT NULL, 
	hit_units INTEGER NOT NULL, 
	UNIQUE (client_ref)
);
INSERT INTO "orders" VALUES(1,'done','DU1','SP500_micro','market',NULL,'filled','','2024-01-10T15:10:00+00:00',1,5682998,3);
INSERT INTO "orders" VALUES(2,'cancelled','DU1','EUROSTX','market',NULL,'cancelled','cancelled by request','2024-01-10T15:10:00+00:00',1,5682998,282);
INSERT INTO "orders" VALUES(3,'back','DU1','SP500_micro','market',NULL,'filled','','2024-01-10T15:40:00+00:00',1,5683004,1);
INSERT INTO "orders" VALUES(4,'roll','DU1','CRUDE_W_mini','market',NULL,'working','','2024-01-10T15:40:00+00:00',1,5683004,1);
INSERT INTO "orders" VALUES(5,'limit','DU1','SP500_micro','limit',1000.0,'working','','2024-01-10T15:40:00+00:00',0,-1,0);
INSERT INTO "orders" VALUES(6,'no','DU1','SP500_micro','market',NULL,'rejected','order no in SP500_micro: a leg without quantity; give each leg a quantity that is not zero','2024-01-10T15:40:00+00:00',0,-1,0);
CREATE INDEX ix_orders_status ON orders (status);
CREATE INDEX ix_executions_broker_id ON executions (broker_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('orders',6);
INSERT INTO "sqlite_sequence" VALUES('executions',5);
COMMIT;
