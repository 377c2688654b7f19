//! Canonical rows from checked fields.

use iso_currency::Currency;
use rust_decimal::Decimal;

use super::date::written;
use super::error::{Code, Problem};
use super::fields::{Field, Fields, minor_digits};
use super::number::negated;
use super::row::{ChargeRow, ChargeType, RegisterRow};

/// A request's row and its key: tracking id, status and time of decision, since a new status is a new row.
pub fn register(fields: &Fields<'_>) -> Result<(String, RegisterRow), Problem> {
    let required = |field| fields.id(field).and_then(|it| fields.required(field, it));
    let currency = fields.currency(Field::Currency)?;
    let (provider_reference, status) = (required(Field::ProviderReference)?, required(Field::Status)?);
    let row = RegisterRow {
        verdict: fields.verdict(&status),
        reference: fields.id(Field::Reference)?,
        iban: fields.iban()?,
        bic: fields.bic()?,
        rejection_reason: fields.prose(Field::RejectionReason),
        market: fields.id(Field::Market)?,
        currency: currency.map(|it| it.code().to_owned()),
        created_at: fields.time(Field::CreatedAt)?,
        decided_at: fields.time(Field::DecidedAt)?,
        provider_reference,
        status,
    };
    let decided = row.decided_at.map(written).unwrap_or_default();
    Ok((format!("{}|{}|{decided}", row.provider_reference, row.status), row))
}

/// A fee line, and its id where the format has one.
pub fn charge(fields: &Fields<'_>) -> Result<(Option<String>, ChargeRow), Problem> {
    let line_id = fields.id(Field::LineId)?;
    let word = fields.id(Field::Type)?;
    let word = fields.required(Field::Type, word)?;
    let currency = fields.currency(Field::Currency)?;
    let currency = fields.required(Field::Currency, currency)?;
    let (original_amount, original_currency) = original(fields)?;
    let line_type = fields.charge_type(&word);
    let row = ChargeRow {
        line_type,
        word,
        code: fields.id(Field::Code)?,
        quantity: quantity(fields, line_type)?,
        provider_reference: fields.id(Field::ProviderReference)?,
        reference: fields.id(Field::Reference)?,
        amount: owed(fields, currency)?,
        tax: fields.amount(Field::Tax, currency)?.unwrap_or_default(),
        currency: currency.code().to_owned(),
        original_amount,
        original_currency: original_currency.map(|it| it.code().to_owned()),
        fx_rate: fields.rate()?,
        settlement_id: fields.id(Field::SettlementId)?,
        occurred_at: fields.time(Field::OccurredAt)?,
        booked_on: fields.date(Field::BookedOn)?,
        description: fields.prose(Field::Description),
        line_id: line_id.clone().unwrap_or_default(),
    };
    if row.line_type == ChargeType::Settlement {
        payable(fields, Field::Amount, row.amount, currency)?;
        payable(fields, Field::Tax, row.tax, currency)?;
    }
    Ok((line_id, row))
}

/// How many fees a line is for. A line for several must say it.
fn quantity(fields: &Fields<'_>, line_type: ChargeType) -> Result<u64, Problem> {
    let quantity = fields.quantity()?;
    match line_type {
        ChargeType::Group | ChargeType::Settlement => fields.required(Field::Quantity, quantity),
        _ => Ok(quantity.unwrap_or(1)),
    }
}

/// The amount of a line, from one column or from two of which one is filled.
fn owed(fields: &Fields<'_>, currency: Currency) -> Result<Decimal, Problem> {
    let (debit, credit) = (fields.unsigned(Field::Debit, currency)?, fields.unsigned(Field::Credit, currency)?);
    match (debit, credit) {
        (Some(debit), None) => Ok(debit),
        (None, Some(credit)) => Ok(negated(credit)),
        // Some formats fill the other column with zero.
        (Some(debit), Some(credit)) if debit.is_zero() || credit.is_zero() => Ok(debit - credit),
        (Some(_), Some(_)) => {
            let detail = "found an amount in both columns; expected either debit or credit";
            Err(fields.problem(Field::Debit, Code::AmountNotDecimal, detail))
        }
        (None, None) => {
            let amount = fields.amount(Field::Amount, currency)?;
            fields.required(Field::Amount, amount)
        }
    }
}

/// The amount that the provider converted, with its currency, or neither.
fn original(fields: &Fields<'_>) -> Result<(Option<Decimal>, Option<Currency>), Problem> {
    let Some(currency) = fields.currency(Field::OriginalCurrency)? else {
        return match fields.text(Field::OriginalAmount) {
            None => Ok((None, None)),
            Some(_) => fields.required(Field::OriginalCurrency, None).map(|it: Currency| (None, Some(it))),
        };
    };
    let amount = fields.amount(Field::OriginalAmount, currency)?;
    Ok((Some(fields.required(Field::OriginalAmount, amount)?), Some(currency)))
}

/// Money that a bank moves has whole minor units.
fn payable(fields: &Fields<'_>, field: Field, amount: Decimal, currency: Currency) -> Result<(), Problem> {
    let (digits, most) = (amount.normalize().scale(), minor_digits(currency));
    if digits <= most {
        return Ok(());
    }
    let found = format!("found a settlement with {digits} digits after the point");
    Err(fields.problem(field, Code::TooPrecise, format!("{found}; expected at most {most} in {}", currency.code())))
}
