//! The figure of a rollout view: the heads' mean of each layer, which the script multiplies.

use serde_json::json;

use super::pack::Rounding;
use super::{MOST_WEIGHTS, describe, escape, payload, rollout_svg, run_name, title, weights, without_packing};
use crate::attention::RolloutView;
use crate::figure::Figure;
use crate::figure::chunks::Chunks;
use crate::{Error, Result, interrupt};

impl RolloutView {
    /// Draws the view.
    ///
    /// # Errors
    /// When the run did not keep the pattern of every layer, no text attends to itself, a block, layer or token that
    /// was named is not there, or the text is too long for a page.
    pub fn build(&self) -> Result<Figure> {
        interrupt::during("drawing the rollout", || self.draw())
    }

    fn draw(&self) -> Result<Figure> {
        let means = self.means()?;
        let (block, layer, token) = self.opened(&means)?;
        let all: usize = means.blocks.iter().map(weights).sum();
        if all > MOST_WEIGHTS {
            return Err(Error::Attention(format!(
                "a rollout needs every layer, and {} layers over {} tokens have {} million weights, more than the {} \
                 million of a page; merge tokens with words(), or shorten the text",
                block.layers.len(),
                block.queries.len(),
                all / 1_000_000,
                MOST_WEIGHTS / 1_000_000
            )));
        }
        let mut chunks = Chunks::default();
        let (mut blocks, mut error) = (Vec::new(), 0f32);
        for block in &means.blocks {
            let rounding = Rounding::fine(block)?;
            error = error.max(rounding.error());
            blocks.push(describe(block, &rounding, &mut chunks)?);
        }
        let data = serde_json::to_value(payload::Page {
            model: escape::model_name(&means.model),
            run: run_name(means.run),
            first: payload::First {
                block: block.name.clone(),
                layer,
                heads: None,
                head: None,
                token: Some(token),
                residual: Some(self.keeps_half()),
            },
            blocks,
        })
        .unwrap_or_default();
        let shares = block.rolled(token, self.keeps_half())?;
        let shown = block.layers.iter().take_while(|it| it.number <= layer).count();
        let mut json = without_packing(data.clone());
        json["shares"] = json!(shares[..shown]);
        Ok(Figure {
            view: "rollout",
            title: title("Attention rollout", &means.model),
            caption: self.caption(error),
            panels: vec![rollout_svg::picture(block, token, &shares[..shown])],
            legend: Vec::new(),
            data,
            packed: chunks.0.into(),
            plotly: None,
            json,
        })
    }

    fn caption(&self, error: f32) -> String {
        let residual = if self.keeps_half() { ", half of every step staying where it is" } else { "" };
        format!(
            "How much of each token of the input is in a position behind a layer, if attention were all that moves \
             anything: the heads' means multiplied from layer to layer{residual} (Abnar & Zuidema 2020). What heads \
             write there, and what MLPs make of it, it does not know. Weights are rounded by at most {error:.1e}."
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::attention::Attention;
    use ndarray::{Array3, array};

    #[test]
    fn a_page_has_the_means_and_the_picture_their_product() {
        let layer = array![[[1.0f32, 0.0], [0.5, 0.5]], [[1.0, 0.0], [0.25, 0.75]]];
        let attention = Attention::new(["to", "<b>"], [layer.clone(), layer]).unwrap();
        let figure = attention.rollout_view().residual(false).build().unwrap();
        let block = &figure.data["blocks"][0];
        assert_eq!((block["name"].as_str(), block["levels"].as_u64()), (Some("all"), Some(65535)));
        assert_eq!(block["layers"].as_array().unwrap().len(), 2);
        assert_eq!(figure.data["first"]["token"], 1);
        assert_eq!(figure.json["shares"], serde_json::json!([[0.375, 0.625], [0.609375, 0.390625]]));
        let svg = &figure.panels[0].svg;
        assert!(svg.contains("60.9 %") && svg.contains("&lt;b&gt;") && !svg.contains("<b>"), "{svg}");
        // Links between views go by the run.
        let heads = attention.head_view().build().unwrap();
        assert_eq!(heads.data["run"], figure.data["run"]);
    }

    #[test]
    fn says_what_is_not_there() {
        let even = Array3::from_elem((1, 2, 2), 0.5f32);
        let view = Attention::new(["a", "b"], [even]).unwrap().rollout_view();
        let problem = |view: crate::attention::RolloutView| view.build().unwrap_err().to_string();
        assert!(problem(view.clone().token(2)).contains("no token 2; it has 2"));
        assert!(problem(view.clone().layer(1)).contains("no layer 1"));
        assert!(problem(view.block("decoder")).contains("there are: all"));
    }

    #[test]
    fn what_would_not_fit_a_page_is_refused() {
        let tokens = 2_000;
        let even = Array3::from_elem((1, tokens, tokens), 1.0 / tokens as f32);
        let layers = vec![even; 17];
        let view = Attention::new((0..tokens).map(|it| it.to_string()), layers).unwrap().rollout_view();
        let problem = view.build().unwrap_err().to_string();
        assert!(problem.contains("17 layers over 2000 tokens have 68 million weights"), "{problem}");
    }
}
