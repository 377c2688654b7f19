//! Charges of completed openings with their settlements, and the bank statement that pays these.

use std::fmt::Write;

use account_opening::clock::Time;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::file::File;
use crate::numbers::{self, Kind};

/// Rows of a settlement in the charges: its lines and itself.
const OF_SETTLEMENT: u64 = 100;
/// Of so many entries of a statement, one pays a settlement.
const PAYS: u64 = 100;
/// The price of one account, with its tax.
const PRICE: (&str, &str) = ("6.05", "1.05");
/// The price list that says so.
pub const PRICES: &str = "provider,market,customer_type,on,code,amount,currency,tax_percent,valid_from,valid_until\n\
                          nexusbank,*,*,opened,account_opened,5.00,EUR,21,2024-01-01,\n";
const COLUMNS: &str = "line_id,type,code,quantity,account_opening_request_id,reference,amount,tax,currency,original_amount,\
                       original_currency,fx_rate,settlement_id,occurred_at,booked_on,description";

fn show(time: Time) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// The charges of openings from `first` on. The settlements are numbered from `first` too, so no two files share one.
pub struct Charges {
    pub first: u64,
    pub rows: u64,
}

impl Charges {
    fn settlements(&self) -> u64 {
        self.rows / OF_SETTLEMENT
    }

    fn openings(&self) -> std::ops::Range<u64> {
        self.first..self.first + self.rows - self.settlements()
    }

    fn total(lines: u64) -> Decimal {
        Decimal::from(lines) * PRICE.0.parse::<Decimal>().expect("a number")
    }

    /// Books the expected fees, as the steps of these openings would have.
    pub async fn expect(&self, connection: &mut PgConnection) {
        let ids: Vec<Uuid> = self.openings().map(|n| numbers::id(Kind::Opening, n)).collect();
        let times: Vec<Time> = self.openings().map(numbers::created).collect();
        let booking =
            "insert into expected_fees (id, at, opening_id, code, amount, tax, currency, provider, price_list)
                       select id, at, id, 'account_opened', $3::numeric, $4::numeric, 'EUR', 'nexusbank', ''
                         from unnest($1::uuid[], $2::timestamptz[]) as n(id, at)";
        let (amount, tax) = PRICE;
        let booked = sqlx::query(booking).bind(ids).bind(times).bind(amount).bind(tax).execute(&mut *connection).await;
        booked.expect("the fees are booked");
        sqlx::query("vacuum (analyze) expected_fees").execute(connection).await.expect("Postgres answers");
    }

    pub fn file(&self) -> File {
        let period = [self.openings().start, self.openings().end].map(|n| show(numbers::created(n)));
        let as_of = show(numbers::created(self.openings().end) + chrono::TimeDelta::days(31));
        let [from, until] = period;
        let mut text = format!("HEADER,charges,nexusbank,1,{from},{until},{as_of}\n{COLUMNS}\n");
        let mut openings = self.openings();
        for settlement in 0..self.settlements() {
            let id = self.settlement(settlement);
            for n in openings.by_ref().take(usize::try_from(OF_SETTLEMENT - 1).expect("a small number")) {
                let (reference, opening, at) =
                    (numbers::reference(n), numbers::id(Kind::Opening, n), show(numbers::created(n)));
                let (amount, tax) = PRICE;
                writeln!(
                    text,
                    "chg_{n},charge,account_opened,1,{reference},{opening},{amount},{tax},EUR,,,,{id},{at},2025-01-02,"
                )
                .expect("memory");
            }
            let (lines, tax) = (OF_SETTLEMENT - 1, PRICE.1.parse::<Decimal>().expect("a number"));
            let (amount, tax) = (Self::total(lines), tax * Decimal::from(lines));
            writeln!(text, "{id},settlement,,{lines},,,{amount},{tax},EUR,,,,{id},,2025-01-03,").expect("memory");
        }
        writeln!(text, "TRAILER,{},EUR={}", self.rows, Self::total(self.rows - self.settlements())).expect("memory");
        File { kind: "charges", text, rows: self.rows, classes: vec![(&["MATCHED"], self.rows)] }
    }

    fn settlement(&self, n: u64) -> String {
        format!("stl_{}", self.first + n)
    }

    /// A statement of as many entries, one of a hundred of which pays a settlement.
    pub fn statement(&self) -> File {
        let paid = Self::total(OF_SETTLEMENT - 1);
        let amount = |n: u64| if n.is_multiple_of(PAYS) { paid } else { Decimal::ONE };
        let moved: Decimal = (0..self.rows).map(amount).sum();
        let balance = |code: &str, amount: Decimal| {
            format!(
                "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy=\"EUR\">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd>\
                 </Bal>\n"
            )
        };
        let account = numbers::iban(self.first);
        let mut text = format!(
            "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08\"><BkToCstmrStmt><GrpHdr><MsgId>{first}</MsgId>\
             <CreDtTm>2025-02-01T18:00:00Z</CreDtTm></GrpHdr>\n<Stmt><Id>S{first}</Id><Acct><Id><IBAN>{account}</IBAN></Id>\
             </Acct>\n{}{}",
            balance("OPBD", moved),
            balance("CLBD", Decimal::ZERO),
            first = self.first,
        );
        for n in 0..self.rows {
            let told = if n.is_multiple_of(PAYS) { self.settlement(n / PAYS) } else { format!("Invoice {n}") };
            writeln!(
                text,
                "<Ntry><Amt Ccy=\"EUR\">{}</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2025-02-01</Dt>\
                 </BookgDt><AcctSvcrRef>b{}_{n}</AcctSvcrRef><NtryDtls><TxDtls><RmtInf><Ustrd>{told}</Ustrd></RmtInf></TxDtls>\
                 </NtryDtls></Ntry>",
                amount(n),
                self.first,
            )
            .expect("memory");
        }
        text.push_str("</Stmt></BkToCstmrStmt></Document>\n");
        let paying = self.rows.div_ceil(PAYS);
        let classes: Vec<(&'static [&'static str], u64)> =
            vec![(&["MATCHED"], paying), (&["UNRELATED"], self.rows - paying)];
        File { kind: "bank", text, rows: self.rows, classes }
    }
}
