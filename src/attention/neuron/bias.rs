//! What positions add to the scores of a layer, in its shortest form.

use tch::{Kind, Tensor};

use crate::Result;

/// What is added to the scaled scores of some heads over T queries and S keys.
pub(crate) struct Bias {
    pub form: Form,
    /// Float32, on the CPU and without gaps; its shape goes by the form.
    pub values: Tensor,
    queries: i64,
    keys: i64,
}

/// Which numbers tell a bias. Query i and key j count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One for each distance (heads,T+S-1): entry j-i+T-1 (T5).
    Distance,
    /// One for each place (heads,S): entry j less entry i (ALiBi).
    Place,
    /// All (heads,T,S).
    Full,
}

impl Bias {
    /// The shortest form of `full` (heads,T,S), float32.
    pub(crate) fn of(full: &Tensor) -> Result<Bias> {
        let (_, queries, keys) = full.size3()?;
        let bias =
            |form, values: Tensor| -> Result<Bias> { Ok(Bias { form, values: values.f_contiguous()?, queries, keys }) };
        // The first column upwards, then the first row.
        let first = full.f_select(2, 0)?.f_flip([1i64])?.f_narrow(1, 0, queries - 1)?;
        let by_distance = bias(Form::Distance, Tensor::f_cat(&[first, full.f_select(1, 0)?], 1)?)?;
        if by_distance.apart(full)? == 0.0 {
            return Ok(by_distance);
        }
        if queries == keys {
            let by_place = bias(Form::Place, full.f_select(1, 0)?.f_sub(&full.f_select(1, 0)?.f_narrow(1, 0, 1)?)?)?;
            // The run rounded each difference of two slopes.
            let rounding = 4.0 * f64::from(f32::EPSILON) * full.f_abs()?.f_max()?.f_double_value(&[])?;
            if by_place.apart(full)? <= rounding {
                return Ok(by_place);
            }
        }
        bias(Form::Full, full.shallow_clone())
    }

    /// (T,S) of one head in float64.
    pub(crate) fn of_head(&self, place: usize) -> Result<Tensor> {
        let values = self.values.f_get(place as i64)?.f_to_kind(Kind::Double)?;
        let places = |count: i64| Tensor::f_arange(count, (Kind::Int64, tch::Device::Cpu));
        match self.form {
            Form::Distance => {
                let entry = places(self.keys)?.f_unsqueeze(0)?.f_sub(&places(self.queries)?.f_unsqueeze(1)?)?;
                let entry = entry.f_add_scalar(self.queries - 1)?.f_view(-1)?;
                Ok(values.f_index_select(0, &entry)?.f_view([self.queries, self.keys])?)
            }
            Form::Place => Ok(values.f_unsqueeze(0)?.f_sub(&values.f_unsqueeze(1)?)?),
            Form::Full => Ok(values),
        }
    }

    /// How far it is from `full` at most.
    fn apart(&self, full: &Tensor) -> Result<f64> {
        let mut most = 0f64;
        for place in 0..full.size()[0] {
            let apart = self.of_head(place as usize)?.f_sub(&full.f_get(place)?)?.f_abs()?.f_max()?;
            let apart = apart.f_double_value(&[])?;
            most = if apart.is_nan() { f64::INFINITY } else { most.max(apart) };
        }
        Ok(most)
    }
}
