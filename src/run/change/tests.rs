//! What a change reaches.

use super::*;

fn counted() -> Tensor {
    Tensor::arange(24, (Kind::Float, tch::Device::Cpu)).reshape([2, 3, 4])
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    Array::from_tensor(tensor).unwrap().data().to_vec()
}

fn made(change: Change, tensor: &Tensor) -> Vec<f32> {
    change.check(&tensor.size()).unwrap();
    let before = numbers(tensor);
    let after = change.prepared(Kind::Float, tch::Device::Cpu).unwrap().apply(tensor, 0).unwrap();
    assert_eq!(numbers(tensor), before, "the given tensor was written to");
    assert_eq!(after.size(), tensor.size());
    numbers(&after)
}

#[test]
fn a_change_reaches_what_it_names_and_nothing_else() {
    let (site, tensor) = (Site::HeadMix(0), counted());
    let plain = numbers(&tensor);
    let at = |head: usize, position: usize, entry: usize| head * 12 + position * 4 + entry;
    let changed = |change: Change| -> Vec<usize> {
        let after = made(change, &tensor);
        (0..24).filter(|&index| after[index] != plain[index]).collect()
    };
    let all = |keep: &dyn Fn(usize, usize, usize) -> bool| -> Vec<usize> {
        let places = (0..2).flat_map(|h| (0..3).flat_map(move |p| (0..4).map(move |e| (h, p, e))));
        places.filter(|&(h, p, e)| keep(h, p, e)).map(|(h, p, e)| at(h, p, e)).collect()
    };
    assert_eq!(changed(Change::set(site, -1.0)), all(&|_, _, _| true));
    assert_eq!(changed(Change::set(site, -1.0).head(1)), all(&|h, _, _| h == 1));
    assert_eq!(changed(Change::set(site, -1.0).positions(1..3)), all(&|_, p, _| p >= 1));
    assert_eq!(changed(Change::set(site, -1.0).neuron(2)), all(&|_, _, e| e == 2));
    let corner = Change::scale(site, -1.0).head(1).positions(1..3).neuron(0);
    assert_eq!(changed(corner), all(&|h, p, e| h == 1 && p >= 1 && e == 0));
}

#[test]
fn values_lack_the_axes_that_are_single_and_are_added_along_the_others() {
    let (site, tensor) = (Site::HeadMix(0), counted());
    let array = |shape: &[usize], data: &[f32]| Array::new(shape, data.to_vec()).unwrap();
    let put = made(Change::replace(site, array(&[2, 4], &[9.0; 8])).position(1), &tensor);
    assert_eq!((put[4], put[7], put[8], put[16], put[20]), (9.0, 9.0, 8.0, 9.0, 20.0));
    let added = made(Change::add(site, array(&[4], &[1.0, 0.0, 0.0, 2.0])).head(1).positions(0..2), &tensor);
    assert_eq!(
        (added[12], added[13], added[15], added[16], added[19], added[20]),
        (13.0, 13.0, 17.0, 17.0, 21.0, 20.0)
    );
    let wrong = Change::add(site, array(&[3], &[1.0; 3])).check(&[2, 3, 4]).unwrap_err().to_string();
    assert!(wrong.contains("[3]") && wrong.contains("[2, 3, 4]"), "{wrong}");
    let empty = Change::zero(site).positions(2..2).check(&[2, 3, 4]).unwrap_err().to_string();
    assert!(empty.contains("2..2"), "{empty}");
}

#[test]
fn of_some_positions_those_are_changed_that_the_whole_run_would_change() {
    let (site, tensor) = (Site::HeadMix(0), counted());
    let array = |shape: &[usize]| Array::new(shape, (0..shape.iter().product()).map(|i| i as f32).collect()).unwrap();
    let all = [
        Change::scale(site, -1.0),
        Change::set(site, 7.0).positions(1..3),
        Change::set(site, 7.0).position(1).head(1),
        Change::add(site, array(&[4])),
        Change::add(site, array(&[2, 4])).positions(1..3),
        Change::replace(site, array(&[2, 3, 4])),
        Change::replace(site, array(&[2, 2, 4])).positions(0..2),
        Change::replace(site, array(&[2, 4])).position(2),
        Change::replace(site, array(&[2])).head(1).positions(1..3).neuron(3),
        Change::new(site, Edit::Patch(tensor.flip([1i64].as_slice()))).positions(0..2).head(0),
    ];
    for change in all {
        let whole = made(change.clone(), &tensor);
        for first in 0..3 {
            let (start, count) = (first as i64, 3 - first as i64);
            let some = change.apply(&tensor.narrow(1, start, count), first).unwrap();
            let wanted = Tensor::from_slice(&whole).reshape([2, 3, 4]).narrow(1, start, count);
            assert!(some.equal(&wanted), "{change:?} from {first}");
        }
    }
}

#[test]
fn gradients_go_through_what_a_change_leaves() {
    let tensor = counted().set_requires_grad(true);
    let changed = Change::zero(Site::HeadMix(0)).head(0).apply(&tensor, 0).unwrap();
    changed.sum(Kind::Float).backward();
    let gradient = numbers(&tensor.grad());
    assert_eq!((gradient[..12].to_vec(), gradient[12..].to_vec()), (vec![0.0; 12], vec![1.0; 12]));
}
