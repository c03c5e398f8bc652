//! What the payment of an order gives, and how an end or a return of that order takes it back.

use crate::awards::{Given, apply_rules};
use crate::draft::{Done, Draft};
use crate::entries::Text;
use crate::facts::{Data, Order};
use crate::lots::claw_back;
use crate::pages::{OrderPage, PageLine};

/// Give what the rules on a payment give, for each line and for the whole; the order's page keeps it.
pub fn award_payment(draft: &mut Draft, page: &mut OrderPage, data: &Data, order: &Order) -> Done {
    let version = draft.version;
    let (of_lines, of_fact) = (&version.paid_line_rules, version.rules_on("order.paid"));
    if of_lines.is_empty() && of_fact.is_empty() {
        return Ok(());
    }
    let mut paid = Vec::new();
    for line in order.lines.iter().filter(|_| !of_lines.is_empty()) {
        let given = Given::of_line(data, &order.order, line.into());
        let awards = apply_rules(draft, of_lines, &given, Some(page), None)?;
        if !awards.is_empty() {
            paid.push(PageLine {
                line: line.line.clone(),
                quantity: line.quantity,
                paid_fen: line.paid_fen,
                category: line.category.clone(),
                awards,
                ..PageLine::default()
            });
        }
    }
    let whole = Given { may_return: true, ..Given::of_fact(data, &order.order) };
    let awards = apply_rules(draft, of_fact, &whole, Some(page), None)?;
    if !awards.is_empty() {
        paid.push(PageLine { awards, ..PageLine::default() });
    }
    page.paid = paid;
    Ok(())
}

/// Take back what a payment gave for an order that ends; `completed` keeps that of the lines that completed.
pub fn take_back_payment(draft: &mut Draft, page: &mut OrderPage, completed: bool) -> Done {
    let OrderPage { lines, paid, .. } = page;
    for line in paid {
        let name = line.line.clone();
        if completed && (name.is_empty() || lines.iter().any(|line| line.line == name)) {
            continue;
        }
        for award in &mut line.awards {
            claw_back(draft, award, 0, &name)?;
        }
    }
    Ok(())
}

/// Take back what the payment gave for a line of which nothing is left.
pub fn take_back_line(draft: &mut Draft, page: &mut OrderPage, name: &Text) -> Done {
    for line in page.paid.iter_mut().filter(|line| line.line == *name) {
        line.returned = line.quantity;
        for award in &mut line.awards {
            claw_back(draft, award, 0, name)?;
        }
    }
    Ok(())
}
